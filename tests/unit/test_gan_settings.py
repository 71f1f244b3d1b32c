"""Settings are refused at the door, by name."""

import re

import pytest

from rarecxr.gan.settings import WITHOUT_EFFECT, GanSettings, by_resolution


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 48}, "gan.resolution is 48; give a power of two from 8 to 512"),
        ({"resolution": 1024}, "from 8 to 512"),
        ({"start_resolution": 64}, "gan.start_resolution is 64; give a power of two from 4 to 32"),
        ({"architecture": "stylegan"}, "gan.architecture is 'stylegan'; give one of karras2018"),
        ({"loss": "hinge"}, "gan.loss is 'hinge'; give one of wgan-gp, r1"),
        ({"precision": "fp16"}, "give one of auto, fp32, bf16"),
        ({"device": "tpu"}, "give one of auto, cpu, cuda"),
        ({"conditioning": "all"}, "give one of none, labels"),
        ({"minibatch": 6}, "gan.minibatch is 6 at 4 px"),
        ({"minibatch": {"default": 8, "32px": 10}}, "gan.minibatch is 10 at 32 px"),
        ({"minibatch": {"32px": 8}}, "add 4px or default"),
        ({"devices": 0}, "gan.devices is 0; give 1 or more"),
        (
            {"minibatch": {"default": 24, "32px": 8}, "devices": 3},
            "gan.minibatch is 8 at 32 px: 2 group(s) of gan.group_size 4 cannot be shared by "
            "gan.devices 3; give a multiple of 12",
        ),
        ({"minibatch": 2, "devices": 2}, "give a multiple of 8"),
        ({"lr": 0}, "gan.lr at 4 px is 0"),
        ({"beta2": 1.0}, "gan.beta2 is 1.0; give 0 to below 1"),
        ({"final_kimg": 0}, "gan.final_kimg is 0"),
        ({"n_critic": 0}, "gan.n_critic is 0; give 1 or more"),
        ({"ema_half_life_kimg": 0}, "gan.ema_half_life_kimg is 0"),
    ],
)
def test_what_is_not_allowed_is_named(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        GanSettings(**({"resolution": 32} | change))


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(TypeError, match="learning_rate"):
        GanSettings(resolution=32, learning_rate=0.1)


def test_a_number_by_resolution():
    assert by_resolution("lr", {"default": 1, "8px": 2}, 8) == 2
    assert by_resolution("lr", {"default": 1, "8px": 2}, 16) == 1
    assert by_resolution("lr", 3, 16) == 3


def test_settings_without_effect_are_not_part_of_what_made_a_generator():
    one = GanSettings(resolution=32, device="cpu", resume_s=1, tensorboard=True)
    other = GanSettings(resolution=32)
    assert one.with_effect() == other.with_effect()
    assert set(WITHOUT_EFFECT) <= set(one.plain())
    assert one.with_effect() != GanSettings(resolution=32, lr=0.002).with_effect()
