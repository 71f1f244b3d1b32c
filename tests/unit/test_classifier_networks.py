import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms.functional import normalize, to_tensor

from rarecxr.classifier import small_resnet
from rarecxr.classifier.networks import build, head_name, load_trunk, network_input
from rarecxr.study.architectures import wrong_resolution


def test_densenet121_has_the_parameters_of_its_paper_but_for_the_last_layer():
    model = build("densenet121", outputs=14, resolution=32, seed=0)
    parameters = sum(p.numel() for p in model.parameters())
    # torchvision states 7,978,856 with a last layer from 1024 features to 1000 classes.
    assert parameters == 7_978_856 - 1025 * 1000 + 1025 * 14


@pytest.mark.parametrize(
    ("architecture", "resolution"),
    [
        ("resnet18", 32),
        ("shufflenet_v2_x0_5", 32),
        ("squeezenet1_1", 32),
        ("mobilenet_v3_small", 32),
        ("efficientnet_b0", 32),
        ("mnasnet0_5", 32),
        ("regnet_y_400mf", 32),
        ("alexnet", 64),
        ("googlenet", 64),
        ("inception_v3", 80),
        ("convnext_tiny", 32),
        ("swin_t", 32),
        ("vit_b_32", 64),
        ("small_resnet10", 32),
    ],
)
def test_every_family_gives_one_logit_a_finding(architecture, resolution):
    model = build(architecture, outputs=5, resolution=resolution, seed=0)
    model.train()
    x = network_input(torch.rand(2, 1, resolution, resolution), architecture)
    logits = model(x)
    assert logits.shape == (2, 5)
    logits.sum().backward()
    head = model.get_submodule(head_name(model))
    assert head.weight.grad is not None
    assert len(head.weight) == 5


def test_the_small_networks_blocks_are_torchvisions(monkeypatch):
    ours = build("small_resnet10", outputs=3, resolution=32, seed=7)
    monkeypatch.setattr(small_resnet, "_BasicBlock", torchvision.models.resnet.BasicBlock)
    theirs = build("small_resnet10", outputs=3, resolution=32, seed=7)
    images = torch.rand(4, 3, 32, 32)
    for one, other in zip(ours.modules(), theirs.modules(), strict=True):
        assert type(one) is type(other) or type(one).__name__ == "_BasicBlock"
    for model in (ours.train(), theirs.train()):
        model(images).square().sum().backward()
    states = ours.state_dict(), theirs.state_dict()
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    preset = torchvision.models.get_model_weights("resnet18").DEFAULT.transforms()
    assert list(small_resnet.MEAN) == preset.mean
    assert list(small_resnet.STD) == preset.std


def test_the_small_network_has_ten_layers_and_sees_the_whole_image():
    model = build("small_resnet10", outputs=14, resolution=64, seed=0).eval()
    # Those of the shortcuts do not count as layers.
    layers = [
        m for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)
    ]
    assert len(layers) + 1 == 10
    assert 0.30e6 < sum(p.numel() for p in model.parameters()) < 0.32e6
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    model(images)[0, 0].backward()
    assert (images.grad.abs().sum(1) > 0).all()


def test_the_same_seed_gives_the_same_network_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    first, again, other = (build("resnet18", 3, 32, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_an_unknown_architecture_is_refused_by_name():
    with pytest.raises(ValueError, match="got 'densenet12'; .*densenet121"):
        build("densenet12", 3, 32, 0)


def test_a_resolution_that_the_network_cannot_take_is_refused():
    with pytest.raises(ValueError, match="classifier.resolution: inception_v3 cannot take .* 32"):
        build("inception_v3", 3, 32, 0)


def takes(architecture, resolution):
    """Whether torchvision's network computes with such images, tried without a number."""
    options = {"image_size": resolution} if architecture.startswith("vit_") else {}
    if architecture == "maxvit_t":
        options = {"input_size": (resolution, resolution)}
    if architecture == "inception_v3":
        options = {"aux_logits": False, "init_weights": False}
    try:
        with torch.device("meta"), torch.no_grad():
            model = torchvision.models.get_model(architecture, weights=None, **options)
            model.eval()(torch.zeros(1, 3, resolution, resolution))
            model.train()(torch.zeros(2, 3, resolution, resolution))
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    ("architecture", "smallest"),
    [
        ("alexnet", 63),
        ("convnext_tiny", 32),
        ("densenet121", 29),
        ("inception_v3", 75),
        ("squeezenet1_0", 21),
        ("squeezenet1_1", 17),
        ("vgg11", 32),
        ("resnet18", 16),
        ("efficientnet_b0", 16),
        ("mobilenet_v3_small", 16),
        ("swin_t", 16),
        ("vit_b_16", 16),
        ("vit_b_32", 32),
        ("maxvit_t", 224),
    ],
)
def test_the_configuration_refuses_the_sizes_that_a_network_cannot_take(architecture, smallest):
    for resolution in {smallest - 1, smallest, smallest + 1} - {15}:
        refused = wrong_resolution(architecture, resolution) is not None
        # MaxViT also takes a few sizes just below, which are no use.
        assert refused or takes(architecture, resolution)
        assert architecture == "maxvit_t" or refused is not takes(architecture, resolution)
    assert wrong_resolution(architecture, smallest) is None


@pytest.mark.parametrize("architecture", ["resnet18", "efficientnet_v2_l"])
def test_a_grey_image_goes_in_as_torchvision_would_put_it(architecture):
    grey = np.random.default_rng(0).integers(0, 256, (24, 24)).astype(np.uint8)
    preset = torchvision.models.get_model_weights(architecture).DEFAULT.transforms()
    rgb = to_tensor(Image.fromarray(grey).convert("RGB"))
    expected = normalize(rgb, preset.mean, preset.std)
    got = network_input(torch.from_numpy(grey)[None, None] / 255, architecture)
    torch.testing.assert_close(got[0], expected)


def test_a_pretrained_trunk_sees_what_the_original_network_saw(tmp_path):
    torch.manual_seed(5)
    original = torchvision.models.resnet18(num_classes=1000).eval()
    torch.save(original.state_dict(), tmp_path / "original.pth")
    ours = build("resnet18", 3, 48, seed=0, weights=tmp_path / "original.pth").eval()

    grey = np.random.default_rng(1).integers(0, 256, (48, 48)).astype(np.uint8)
    preset = torchvision.models.get_model_weights("resnet18").DEFAULT.transforms()
    rgb = normalize(to_tensor(Image.fromarray(grey).convert("RGB")), preset.mean, preset.std)
    original.fc, head = torch.nn.Identity(), ours.fc
    ours.fc = torch.nn.Identity()
    with torch.no_grad():
        features = ours(network_input(torch.from_numpy(grey)[None, None] / 255, "resnet18"))
        torch.testing.assert_close(features, original(rgb[None]))
    # The last layer is our own: initialized by the seed, not loaded.
    assert torch.equal(head.weight, build("resnet18", 3, 48, seed=0).fc.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match="not the weights of resnet18"):
        build("resnet18", 3, 32, 0, tmp_path / "resnet34.pth")


def test_a_vision_transformers_weights_are_stretched_to_another_resolution(tmp_path):
    def tiny(side, classes):
        return torchvision.models.VisionTransformer(side, 16, 1, 2, 32, 32, num_classes=classes)

    original, ours = tiny(32, 1000), tiny(64, 3)
    torch.nn.init.normal_(original.encoder.pos_embedding)
    torch.save(original.state_dict(), tmp_path / "tiny.pth")
    load_trunk(ours, tmp_path / "tiny.pth", "tiny")
    assert torch.equal(ours.conv_proj.weight, original.conv_proj.weight)
    # The class token's place is kept; the corners of the grid of patches stay where they are.
    before, after = original.encoder.pos_embedding[0], ours.encoder.pos_embedding[0]
    assert torch.equal(after[0], before[0])
    torch.testing.assert_close(after[[1, 4, 13, 16]], before[[1, 2, 3, 4]])
