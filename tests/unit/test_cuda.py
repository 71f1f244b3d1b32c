"""The same results on a GPU as on the CPU, and nothing in a step that waits for the device.

Networks and losses are compared in float64, where the two agree closely. What draws random numbers
is given those of the CPU on both.
"""

import copy

import numpy as np
import pytest
import torch
from classifier_files import FINDINGS, TARGETS, make_study, run
from gan_files import SETTINGS, arguments, bank_arguments, write_training_set

from rarecxr.bank.bank_file import Bank
from rarecxr.bank.generate import make_bank
from rarecxr.classifier.examples import REAL, Examples
from rarecxr.classifier.fitting import Fit, Phase, Procedure, Validation
from rarecxr.classifier.images import DeviceImages, MappedImages, Part
from rarecxr.classifier.networks import build, network_input
from rarecxr.classifier.prediction import predict
from rarecxr.classifier.self_supervised import Procedure as SelfSupervisedProcedure
from rarecxr.classifier.self_supervised import Projection, SelfSupervisedFit
from rarecxr.classifier.transforms import transform
from rarecxr.core.cuda_graphs import SWITCH, StepGraphs
from rarecxr.core.devices import choose_precision
from rarecxr.core.losses import masked_bce
from rarecxr.core.tensors import from_bytes, to_bytes
from rarecxr.data.image_file import ImageFile
from rarecxr.data.resize import coverage
from rarecxr.gan import fused
from rarecxr.gan.augment import AdaptiveAugment
from rarecxr.gan.checkpoint import read_checkpoint
from rarecxr.gan.images import training_images
from rarecxr.gan.losses import critic_terms, generator_loss, r1_penalty, wgan_penalty
from rarecxr.gan.networks import build_networks
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training import train_gan
from rarecxr.quality.feature_spaces import FeatureSpace
from rarecxr.study.configuration.classifier import SelfSupervisedSettings, TrainingSettings
from rarecxr.study.configuration.gan import AdaSettings, GanSettings
from rarecxr.study.configuration.training import TransformSettings

CPU, GPU = torch.device("cpu"), torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

NETWORKS = {"resolution": 32, "latent_size": 16, "fmap_base": 128, "fmap_max": 16, "group_size": 4}
TRANSFORMS = TransformSettings(flip=0.5, noise=0.0)


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    """No TF32, and convolutions that give the same bits every time."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.fixture
def _same_draws(monkeypatch):
    """Random numbers drawn on the CPU wherever they are used: a GPU's generator draws others."""
    twins = {}

    def on_cpu(draw):
        def drawn(*size, generator=None, device=CPU, **options):
            if generator is None:
                return draw(*size, device=device, **options)
            twin = twins.get(id(generator))
            if twin is None:
                source = torch.Generator().manual_seed(generator.initial_seed())
                # The generator is kept, so that no other one gets its id.
                twin = twins[id(generator)] = (source, generator)
            return draw(*size, generator=twin[0], **options).to(device)

        return drawn

    for name in ("rand", "randn"):
        monkeypatch.setattr(torch, name, on_cpu(getattr(torch, name)))


@pytest.fixture(scope="module")
def training_set(tmp_path_factory):
    return write_training_set(tmp_path_factory.mktemp("images") / "training_set.h5", count=24)


def close(found, wanted, rtol=1e-8, atol=1e-10):
    torch.testing.assert_close(found.detach().cpu(), wanted.detach(), rtol=rtol, atol=atol)


def double_networks():
    generator, critic = build_networks(NETWORKS, seed=3)
    return generator.double(), critic.double()


def batch(count=8, side=32, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, side, side, generator=random, dtype=torch.float64) * 2 - 1


# The PGGAN


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_generator_and_its_gradients_are_those_of_the_cpu(alpha):
    latents = torch.randn(8, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for device in (CPU, GPU):
        generator = double_networks()[0].to(device, memory_format=torch.channels_last)
        images = generator(latents.to(device), alpha=alpha, dtype=torch.float64)
        images.square().sum().backward()
        gradients = [p.grad for p in generator.parameters() if p.grad is not None]
        found.append([images, *gradients])
    assert len(found[0]) > 10
    for wanted, got in zip(*found, strict=True):
        close(got, wanted)


@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_losses_penalties_and_their_gradients_are_those_of_the_cpu(loss):
    real, fake = batch(seed=1), batch(seed=2)
    mix = torch.linspace(0, 1, 8, dtype=torch.float64).view(-1, 1, 1, 1)
    found = []
    for device in (CPU, GPU):
        critic = double_networks()[1].to(device, memory_format=torch.channels_last)
        x, y = real.to(device), fake.to(device).detach().requires_grad_(True)

        def score(images, critic=critic):
            return critic(images, 0.6, torch.float64)[0]

        scores, _ = critic(torch.cat([x, y]), 0.6, torch.float64, parts=2)
        terms = critic_terms(*scores.chunk(2), loss, 0.001)
        penalty = (
            r1_penalty(score, x) if loss == "r1" else wgan_penalty(score, x, y, mix.to(device))
        )
        total = sum(terms.values()) + 10 * penalty + generator_loss(score(y), loss)
        total.backward()
        gradients = [p.grad for p in critic.parameters() if p.grad is not None]
        found.append([scores, penalty, total, y.grad, *gradients])
    assert len(found[0]) > 10
    for wanted, got in zip(*found, strict=True):
        close(got, wanted)


@pytest.mark.usefixtures("_same_draws")
def test_the_augmentation_is_that_of_the_cpu():
    images = batch().float()
    found = []
    for device in (CPU, GPU):
        pipe = AdaptiveAugment(AdaSettings(start_p=0.8, flip=True), device)
        moved = pipe(images.to(device), torch.Generator(device).manual_seed(5))
        for number in range(4):
            scores = torch.linspace(-1, 2 + number, 8, device=device)
            pipe.adapt(scores, -scores, "r1", moves=number == 3)
        found.append([moved, pipe.p])
    close(found[1][0], found[0][0], rtol=1e-4, atol=1e-4)
    close(found[1][1], found[0][1], rtol=1e-5)
    assert not torch.equal(found[0][0], images)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_operations_are_used_and_right(norm, dtype):
    """They need Triton and a C compiler; without, PyTorch's operations are used with a warning."""
    pytest.importorskip("triton")
    for channels in (4, 12, 16, 512):
        error = fused._relative_error(channels, dtype, norm, GPU)
        assert error < {torch.float32: 1e-5, torch.bfloat16: 0.01}[dtype]
        assert fused.possible(torch.empty(1, dtype=dtype, device=GPU), channels, norm)


def trainer_on(device, path, folder, **changes):
    # At the full resolution from its first step.
    changes = {"start_resolution": 16, "evaluation": None, **changes}
    settings = GanSettings(**{**SETTINGS, **changes, "device": device.type})
    sides = settings.resolution, settings.start_resolution
    images = training_images(path, *sides, device, 7, folder, settings.pixel_memory_mib)
    with images as data:
        networks = build_networks(settings.plain(), seed=3)
        return Trainer(settings, data, networks, 1, False, device)


@pytest.mark.usefixtures("_same_draws")
@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_steps_of_a_trainer_are_those_of_the_cpu(training_set, tmp_path, monkeypatch, loss):
    # A graph would keep what was drawn on the CPU when it was recorded.
    monkeypatch.setenv(SWITCH, "0")
    ada = {"start_p": 0.5, "kimg": 1.0}
    logs, weights = [], []
    for device in (CPU, GPU):
        trainer = trainer_on(device, training_set, tmp_path, loss=loss, ada=ada)
        for _ in range(3):
            trainer.step()
        trainer.check()
        logs.append(trainer.means.means())
        weights.append(
            torch.cat([p.detach().cpu().flatten() for p in trainer.generator.parameters()])
        )
    assert logs[1] == pytest.approx(logs[0], rel=0.01, abs=1e-3)
    # Adam divides a gradient by its size: one that is nearly zero may go either way.
    differences = (weights[1] - weights[0]).abs()
    assert differences.quantile(0.95) < 1e-4


@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_a_trainer_goes_on_from_its_state_to_the_bit(training_set, tmp_path, loss):
    """The state is restored exactly, and so are further steps where convolutions repeat exactly."""
    whole = trainer_on(GPU, training_set, tmp_path, loss=loss)
    for _ in range(3):
        whole.step()
    saved = to_bytes(whole.state())
    again = trainer_on(GPU, training_set, tmp_path, loss=loss)
    again.load_state(from_bytes(saved))
    assert to_bytes(again.state()) == saved
    for trainer in (whole, again):
        for _ in range(2):
            trainer.step()
    assert again.images == whole.images
    averages = (run.generator_ema.parameters() for run in (again, whole))
    for found, wanted in zip(*averages, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_no_step_of_a_trainer_waits_for_the_gpu(training_set, tmp_path, loss, precision):
    ada = {"start_p": 0.5, "interval": 1}
    trainer = trainer_on(GPU, training_set, tmp_path, loss=loss, ada=ada, precision=precision)
    trainer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        # Through the recording of a graph and its launch.
        for _ in range(5):
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    trainer.check()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", ["wgan-gp", "r1"])
def test_steps_as_graphs_are_those_launched_one_by_one(
    training_set, tmp_path, monkeypatch, loss, precision
):
    """To the bit, each kind of step: with and without the penalty."""
    changes = {"loss": loss, "precision": precision, "r1_interval": 3, "fresh_latents": True}
    states = []
    for switch in ("0", "1"):
        monkeypatch.setenv(SWITCH, switch)
        trainer = after_steps(20, trainer_on(GPU, training_set, tmp_path, **changes))
        assert len(trainer.graphs._graphs) == int(switch) * {"wgan-gp": 1, "r1": 2}[loss]
        states.append(to_bytes(trainer.state()))
    assert states[0] == states[1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_graph_serves_a_whole_fade(training_set, tmp_path, monkeypatch, precision):
    """To the bit, as launched one by one; each kind of step once, whatever its share."""
    changes = {"precision": precision, "r1_interval": 3, "start_resolution": 8}
    changes |= {"stabilise_kimg": 0.02, "fade_kimg": 0.2}
    states = []
    for switch in ("0", "1"):
        monkeypatch.setenv(SWITCH, switch)
        trainer = after_steps(30, trainer_on(GPU, training_set, tmp_path, **changes))
        assert 0 < trainer.schedule.at(trainer.images).alpha < 1
        assert len(trainer.graphs._graphs) == int(switch) * 2
        states.append(to_bytes(trainer.state()))
    assert states[0] == states[1]


def test_steps_as_graphs_move_p_and_draw_anew_for_each_step(training_set, tmp_path, monkeypatch):
    """Resampling sums its gradient in any order on a GPU, so that last bits vary with ADA."""
    ada = {"start_p": 0.5, "interval": 2, "kimg": 1.0}
    logs, p = [], []
    for switch in ("0", "1"):
        monkeypatch.setenv(SWITCH, switch)
        trainer = after_steps(20, trainer_on(GPU, training_set, tmp_path, ada=ada, r1_interval=3))
        assert len(trainer.graphs._graphs) == 4 * int(switch)
        logs.append(trainer.means.means())
        p.append(trainer.augment.p.item())
    assert p[0] != 0.5
    assert p[1] == pytest.approx(p[0], abs=1e-6)
    assert logs[1] == pytest.approx(logs[0], rel=0.02, abs=2e-3)


def after_steps(number, trainer):
    for _ in range(number):
        trainer.step()
    trainer.check()
    return trainer


def test_a_step_that_cannot_be_recorded_is_launched_one_by_one(caplog):
    weight = torch.zeros(3, device=GPU, requires_grad=True)

    def step(x):
        (weight * x).sum().backward()
        if x.sum().item() < 0:  # waits for the device, which a graph cannot
            raise AssertionError
        with torch.no_grad():
            weight.add_(weight.grad)
        weight.grad = None
        return weight.sum()

    def undo():
        weight.grad = None

    graphs = StepGraphs(GPU, undo)
    for _ in range(5):
        total = graphs.run("kind", step, [torch.ones(3, device=GPU)])
    assert total.item() == 15
    assert not graphs.possible
    assert "no CUDA graph could be made" in caplog.text


def test_images_in_memory_and_in_a_file_are_those_of_the_cpu(training_set, tmp_path):
    found = []
    for device, resident in ((CPU, 1.0), (GPU, 1.0), (GPU, 0.0)):
        with training_images(training_set, 16, 8, device, 7, tmp_path, resident) as data:
            found.append([data.batch(5, 40, 16), data.batch(5, 40, 8, alpha=0.25)])
    for other in found[1:]:
        assert all(images.device.type == "cuda" for images in other)
        for wanted, got in zip(found[0], other, strict=True):
            close(got, wanted, rtol=1e-6, atol=1e-6)


class Stopped(Exception):
    """What a run is stopped with."""


def test_a_run_on_the_gpu_goes_on_where_it_was_stopped(training_set, tmp_path):
    """From files to files, through growth and fade; a generator is read where there is no GPU."""

    def stop(trainer, row):
        if row["kimg"] >= 0.048:
            raise Stopped

    settings = {"device": "cuda", "resume_interval_s": 0.0}
    train_gan(**arguments(training_set, tmp_path / "whole", **settings))
    with pytest.raises(Stopped):
        train_gan(**arguments(training_set, tmp_path / "part", **settings, on_tick=stop))
    assert not (tmp_path / "part" / "generator.pt").exists()
    train_gan(**arguments(training_set, tmp_path / "part", **settings))
    states = [read_checkpoint(tmp_path / name / "generator.pt") for name in ("whole", "part")]
    for name, wanted in states[0]["generator"].items():
        assert wanted.device == CPU
        assert torch.equal(states[1]["generator"][name], wanted), name


def test_bf16_is_chosen_and_stays_near_float32(training_set, tmp_path):
    if torch.cuda.get_device_capability() >= (8, 0):
        assert choose_precision("auto", GPU) == "bf16"
    logs = []
    for precision in ("fp32", "bf16"):
        trainer = trainer_on(GPU, training_set, tmp_path, precision=precision)
        trainer.step()
        trainer.check()
        logs.append(trainer.means.means())
    assert logs[1] == pytest.approx(logs[0], rel=0.1, abs=0.05)


def test_a_bank_drawn_on_the_gpu_is_that_of_the_cpu(training_set, tmp_path):
    train_gan(**arguments(training_set, tmp_path, device="cuda"))
    images = []
    for device in ("cpu", "cuda"):
        files = (tmp_path / "generator.pt", training_set, tmp_path / f"{device}.h5")
        make_bank(**bank_arguments(*files, batch_size=16, number=50, device=device))
        with Bank(tmp_path / f"{device}.h5") as bank:
            images.append(bank.read().astype(int))
    # A grey level where the two lie on different sides of a rounding.
    assert np.abs(images[0] - images[1]).max() <= 1
    assert (images[0] != images[1]).mean() < 0.01


# The classifier


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


def fit_on(device, study, precision="fp32", architecture="resnet18"):
    labels = np.random.default_rng(0).integers(0, 2, (240, 3)).astype(np.float32)
    labels[::7, 1] = np.nan
    examples = Examples(np.arange(240), labels, np.full(240, REAL))
    images = DeviceImages([Part(ImageFile(study["pixels"]), np.arange(240))], 32, device)
    procedure = Procedure(
        settings=TrainingSettings(architecture=architecture, batch_size=16, schedule="cosine"),
        epoch_length=240,
        transforms=TRANSFORMS,
        precision=precision,
        device=device,
        real_images=240,
        seed=0,
    )
    network = build(architecture, 3, 32, seed=0)
    validation = Validation(np.arange(16), labels[:16], {0: TARGETS[0]})
    fit = Fit(
        network, [Phase("train", examples, 2, 1e-3)], images, validation, procedure, NoState()
    )
    fit.network.train()
    return fit


class NoState:
    """A store that holds nothing."""

    def load(self):
        return None


def step_of(fit, number):
    order = np.arange(16 * number, 16 * number + 16)
    weights = None if fit.weights is None else fit.weights[16 * number :][:16]
    return fit._step(next(fit.images.batches(order, 16)), fit.labels[16 * number :][:16], weights)


def test_the_classifiers_images_are_those_of_the_cpu(study, tmp_path):
    parts = [
        Part(ImageFile(study["pixels"]), np.arange(3, 90)),
        Part(ImageFile(study["pixels"]), np.arange(40)),
    ]
    order = np.random.default_rng(0).permutation(127)
    for side in (32, 24, 48):
        found = [
            torch.cat([block.cpu() for block in images.batches(order, 50)])
            for images in (
                DeviceImages(parts, side, CPU),
                DeviceImages(parts, side, GPU),
                MappedImages(parts, side, GPU, tmp_path / str(side)),
            )
        ]
        # Resizing rounds to grey levels. Enlarged images have many a value that is halfway between
        # two, where the last bit of a position decides: so each is compared with what is rounded.
        # (A float32 position near 32 is exact to 2e-6 pixels, which differ by up to 255.)
        wanted = unrounded(parts, order, side)
        for got in found:
            levels = (255 * got.double()).round()
            assert (255 * got.double() - levels).abs().max() < 1e-4
            assert (levels - wanted).abs().max() <= 0.5 + 2e-3


def unrounded(parts, order, side):
    """Grey levels (n, 1, side, side) of the parts' images in float64, as they are to be rounded."""
    images = np.concatenate([part.source.read(part.rows) for part in parts])[order]
    values = torch.from_numpy(images).double()
    before = images.shape[-1]
    if side > before:
        return torch.nn.functional.interpolate(values[:, None], (side, side), mode="bilinear")
    weights = torch.from_numpy(coverage(before, side).toarray()).double()
    return (weights @ values @ weights.T)[:, None]


def test_the_classifiers_transforms_are_those_of_the_cpu():
    images = (batch().float() + 1) / 2
    wanted = transform(images, TRANSFORMS, (1, 2, 3))
    close(transform(images.to(GPU), TRANSFORMS, (1, 2, 3)), wanted, rtol=1e-4, atol=1e-4)
    noisy = TRANSFORMS.model_copy(update={"noise": 0.02})
    twice = [transform(images.to(GPU), noisy, (1, 2, 3)) for _ in range(2)]
    assert torch.equal(*twice)


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121"])
def test_a_classifiers_loss_and_gradients_are_those_of_the_cpu(architecture):
    labels = torch.tensor([[0.0, 1.0, np.nan]] * 8)
    found = []
    for device in (CPU, GPU):
        network = build(architecture, 3, 32, seed=0).double()
        network.to(device, memory_format=torch.channels_last).train()
        x = network_input(((batch() + 1) / 2).to(device), architecture).double()
        logits = network(x)
        # In float64 to the end: the loss itself is taken in float32.
        masked_bce(logits, labels.to(device)).backward()
        found.append([logits, *(p.grad for p in network.parameters())])
    for wanted, got in zip(*found, strict=True):
        close(got, wanted, rtol=1e-3, atol=1e-6)


def test_steps_of_a_classifier_are_those_of_the_cpu(study):
    losses = []
    for device in (CPU, GPU):
        fit = fit_on(device, study)
        for number in range(3):
            step_of(fit, number)
        losses.append(fit.loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_of_a_classifier_waits_for_the_gpu(study, precision):
    fit = fit_on(GPU, study, precision)
    step_of(fit, 0)
    x, labels = next(fit.images.batches(np.arange(16), 16)), fit.labels[:16]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            fit._step(x, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(fit.loss)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss_weight", [1.0, 0.3])
def test_steps_of_a_classifier_as_graphs_are_those_launched_one_by_one(
    study, monkeypatch, precision, loss_weight
):
    """To the bit; the learning rate changes from step to step."""
    found = []
    for switch in ("0", "1"):
        monkeypatch.setenv(SWITCH, switch)
        fit = fit_on(GPU, study, precision, architecture="densenet121")
        if loss_weight != 1:
            fit.weights = torch.linspace(loss_weight, 1, 240, device=GPU)
        for number in range(8):
            step_of(fit, number)
        found.append([*fit.network.state_dict().values(), fit.loss])
        assert len(fit.graphs._graphs) == int(switch)
    for wanted, got in zip(*found, strict=True):
        assert torch.equal(got, wanted)


def pretraining_on(device, study, precision="fp32"):
    settings = SelfSupervisedSettings(batch_size=16, projection=16)
    images = DeviceImages([Part(ImageFile(study["pixels"]), np.arange(240))], 32, device)
    procedure = SelfSupervisedProcedure(settings, TRANSFORMS, "resnet18", precision, device, 0)
    projection = Projection(build("resnet18", 16, 32, seed=0), 16, seed=0)
    fit = SelfSupervisedFit(projection, images, procedure, NoState())
    fit.projection.train()
    return fit


def test_steps_of_a_pretraining_without_labels_are_those_of_the_cpu(study):
    losses = []
    for device in (CPU, GPU):
        fit = pretraining_on(device, study)
        for number in range(3):
            fit._step(next(fit.images.batches(np.arange(16) + 16 * number, 16)))
        losses.append(fit.sums[0].item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_of_a_pretraining_without_labels_waits_for_the_gpu(study, precision):
    fit = pretraining_on(GPU, study, precision)
    x = next(fit.images.batches(np.arange(16), 16))
    fit._step(x)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            fit._step(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(fit.sums).all()


def test_a_classifier_goes_on_from_its_state_to_the_bit(study):
    class Kept(NoState):
        saved = None

        def save(self, content, progress, finished=False):
            self.saved = to_bytes(content)

        def load(self):
            return None if self.saved is None else from_bytes(self.saved)

    whole = fit_on(GPU, study)
    for number in range(2):
        step_of(whole, number)
    whole.store = Kept()
    whole._save()
    again = fit_on(GPU, study)
    again.store = whole.store
    again._resume()
    assert again.shown == whole.shown
    again.network.train()
    for fit in (whole, again):
        step_of(fit, 2)
    state = copy.deepcopy(whole.network.state_dict())
    for name, found in again.network.state_dict().items():
        assert torch.equal(found, state[name]), name


def test_a_run_trained_on_the_gpu_predicts_alike_on_both(study, tmp_path):
    outputs = run(study, tmp_path, device="cuda", epochs=1, architecture="resnet18")
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32), dtype=np.uint8)
    scores = [predict(outputs["model"], images, device) for device in ("cpu", "cuda")]
    assert scores[0].shape == (20, len(FINDINGS))
    # Logits. TF32 keeps 10 bits of each fraction: twice 2^-11 of what is summed up may be lost.
    np.testing.assert_allclose(scores[1], scores[0], rtol=0, atol=2**-10 * np.abs(scores[0]).max())


# Features


@pytest.mark.parametrize("name", ["pixels", "random"])
def test_features_are_those_of_the_cpu(name):
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64), dtype=np.uint8)
    wanted, found = (FeatureSpace(name, device)(images) for device in (CPU, GPU))
    np.testing.assert_allclose(found, wanted, rtol=0.01, atol=1e-3 * np.abs(wanted).max())
