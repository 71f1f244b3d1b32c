"""One training step, as a library user makes it."""

import copy

import numpy as np
import pytest
import torch
from gan_files import SETTINGS

from rarecxr.core.optimizers import set_rate
from rarecxr.gan.images import TrainingImages
from rarecxr.gan.networks import build_networks
from rarecxr.gan.schedule import Moment
from rarecxr.gan.trainer import Trainer, adam_of
from rarecxr.study.configuration.gan import GanSettings

CPU = torch.device("cpu")


def trainer(finetune=False, **changes):
    settings = GanSettings(**SETTINGS | {"start_resolution": 16} | changes)
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    levels = {16: torch.from_numpy(images)}
    data = TrainingImages(levels, np.zeros((20, 0), np.float32), [], CPU, seed=1)
    return Trainer(settings, data, build_networks(settings.plain(), seed=2), 3, finetune, CPU)


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_adam_has_the_settings_of_the_section():
    """Its second step from the same gradient, by hand (arXiv 1412.6980, algorithm 1)."""
    settings = GanSettings(**SETTINGS | {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.01})
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.bias = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
    adam = adam_of(layer, settings)
    set_rate(adam, 0.1)
    before = layer.weight.item()
    for gradient in (2.0, -1.0):
        layer.weight.grad = torch.tensor([[gradient]])
        adam.step()
    first = 2.0 / (2.0 + 0.01)
    mean = (0.5 * 1.0 + 0.5 * -1.0) / (1 - 0.5**2)
    square = (0.9 * 0.4 + 0.1 * 1.0) / (1 - 0.9**2)
    assert layer.weight.item() == pytest.approx(
        before - 0.1 * (first + mean / (square**0.5 + 0.01)), rel=1e-5
    )
    assert [parameter for group in adam.param_groups for parameter in group["params"]] == [
        layer.weight
    ]


@pytest.mark.parametrize(
    ("changes", "decay"),
    [({"ema_decay": 0.75}, 0.75), ({"ema_half_life_kimg": 0.002, "batch_size": 4}, 0.25)],
)
def test_the_average_moves_by_a_decay_a_step_or_by_images(changes, decay):
    run = trainer(**changes)
    before = weights(run.generator_ema)
    run.step()
    for old, now, new in zip(
        before, run.generator_ema.parameters(), weights(run.generator), strict=True
    ):
        torch.testing.assert_close(now, decay * old + (1 - decay) * new)
    assert any(
        not torch.equal(old, now)
        for old, now in zip(before, run.generator_ema.parameters(), strict=True)
    )


def test_a_trainer_goes_on_from_its_state_to_the_bit():
    whole, cut = trainer(beta1=0.5), trainer(beta1=0.5)
    for _ in range(6):
        whole.step()
    for _ in range(3):
        cut.step()
    again = trainer(beta1=0.5)
    again.load_state(copy.deepcopy(cut.state()))
    for _ in range(3):
        again.step()
    assert again.images == whole.images
    for name in ("generator", "generator_ema", "critic"):
        for found, wanted in zip(
            weights(getattr(again, name)), weights(getattr(whole, name)), strict=True
        ):
            assert torch.equal(found, wanted), name
    assert again.means.means() == whole.means.means()


def test_the_learning_rate_is_that_of_the_resolution():
    run = trainer(learning_rate={"default": 0.001, "16px": 1e-12})
    before = weights(run.generator)
    run.step()
    for old, new in zip(before, weights(run.generator), strict=True):
        torch.testing.assert_close(old, new, atol=1e-9, rtol=0)


@pytest.mark.parametrize("changes", [{}, {"loss": "wgan-gp"}, {"fresh_latents": False}])
def test_a_fading_step_is_the_same_with_its_share_in_a_tensor(changes):
    """In which form a GPU is given it, for a recording that serves all of a fade."""
    moment = Moment(16, 0.3, 0)
    found = []
    for shares in ([], [torch.tensor(0.3)]):
        run = trainer(**changes)
        run._begin_phase(0, 16)
        run.random.manual_seed(5)
        inputs = [run.data.batch(0, 4, 16, 0.3), run.data.batch_labels(0, 4), *shares]
        logged = run._learn(moment if not shares else Moment(16, 0.9, 0), 4, *inputs)
        found.append([*weights(run.generator), *weights(run.critic), *logged[0].values()])
    for number, tensor in zip(*found, strict=True):
        torch.testing.assert_close(tensor, number, rtol=1e-4, atol=1e-5)
