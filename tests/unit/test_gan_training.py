"""Training from files to files, and what interrupts it."""

import json
import os
import signal
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import torch
from gan_files import OUTPUTS, SETTINGS, arguments, write_training_set
from hdf5_files import amended
from interruptions import child, run_under_kills, wait_until_locked
from PIL import Image

from rarecxr.core.json_file import write_json
from rarecxr.core.resume import SLOTS
from rarecxr.gan.checkpoint import networks_from, read_checkpoint
from rarecxr.gan.training import train_gan
from rarecxr.gan.training_log import NotFiniteError
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.values import NO_EFFECT


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_training_set(tmp_path_factory.mktemp("images") / "training_set.h5")


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """An uninterrupted run's folder."""
    folder = tmp_path_factory.mktemp("whole")
    train_gan(**arguments(images, folder))
    return folder


def generator_bytes(folder):
    return (folder / "generator.pt").read_bytes()


class Stopped(Exception):
    """What the tests stop a run with."""


def stop_at(kimg, action):
    """An `on_tick` that acts once, at the first tick at or after `kimg`."""
    done = []

    def on_tick(trainer, row):
        if row["kimg"] >= kimg and not done:
            done.append(kimg)
            action(trainer)

    return on_tick


def stop(trainer):
    raise Stopped


# What a run leaves


def test_a_run_leaves_its_four_files_and_its_last_state(whole):
    assert all((whole / name).stat().st_size for name in OUTPUTS)
    assert (whole / "state" / SLOTS[0]).exists()


def test_the_same_run_gives_the_same_bytes(images, whole, tmp_path):
    train_gan(**arguments(images, tmp_path))
    for name in ("generator.pt", "samples.png", "generator.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name


def test_another_seed_gives_another_generator(images, whole, tmp_path):
    train_gan(**arguments(images, tmp_path, seed=2))
    assert generator_bytes(tmp_path) != generator_bytes(whole)


def test_the_log_has_a_line_a_tick_with_the_schedules_values(whole):
    """8 px to 0.02 kimg, fade to 0.044, 16 px to 0.084; ticks of 0.012 kimg."""
    rows = pd.read_csv(whole / "training.csv")
    assert rows["kimg"].tolist() == [0.012, 0.024, 0.036, 0.048, 0.06, 0.072, 0.084]
    assert rows["resolution"].tolist() == [8, 16, 16, 16, 16, 16, 16]
    assert rows["alpha"].tolist() == pytest.approx([1, 3 / 24, 15 / 24, 1, 1, 1, 1], abs=1e-9)
    losses = rows[["critic_loss", "generator_loss", "real_score", "fake_score", "s_per_kimg"]]
    assert np.isfinite(losses.to_numpy()).all()
    assert rows["gradient_penalty"].notna().all()


def test_the_generator_file_holds_plain_values_and_where_it_comes_from(whole, images):
    content = read_checkpoint(whole / "generator.pt")
    assert content["settings"]["resolution"] == 16
    assert content["settings"]["label_size"] == 0
    made_by = json.loads((whole / "generator.json").read_text(encoding="utf-8"))
    assert content["provenance"]["inputs"] == made_by["inputs"]
    assert made_by["kimg"] == 0.084
    assert made_by["training_images"] == 10
    generator, critic = networks_from(content)
    assert made_by["generator_parameters"] == sum(p.numel() for p in generator.parameters())
    assert made_by["critic_parameters"] == sum(p.numel() for p in critic.parameters())


def test_the_generator_file_holds_the_average_of_the_weights(images, tmp_path):
    """With an average that never moves it holds the first weights, with none the last."""
    kept = {}

    def keep(trainer, row):
        kept["last"] = [weight.detach().clone() for weight in trainer.generator.parameters()]

    train_gan(**arguments(images, tmp_path, ema_decay=0.0, evaluation=None, on_tick=keep))
    generator, _ = networks_from(read_checkpoint(tmp_path / "generator.pt"))
    for found, wanted in zip(generator.parameters(), kept["last"], strict=True):
        assert torch.equal(found, wanted)


def test_the_sample_sheet_has_a_row_for_each_snapshot_and_two_of_real_images(whole):
    with Image.open(whole / "samples.png") as sheet:
        height = sheet.height
    about = json.loads((whole / "generator.json").read_text(encoding="utf-8"))
    kept = int(about["kept_kimg"] != about["kimg"])
    cell = 16 * 6 + 2
    assert height == (1 + SETTINGS["snapshots"] + kept + 2) * cell + 2 * 20 + 3 * 8


def test_a_gan_learns_the_grey_level_of_its_images(tmp_path):
    """Dark and light noise: after little training the mean of the fakes is that of the reals."""
    levels = np.random.default_rng(0).integers(160, 200, (40, 1, 1))
    pictures = np.broadcast_to(levels, (40, 16, 16)).astype(np.uint8)
    path = write_training_set(tmp_path / "set.h5", count=40)
    with amended(path) as file:
        file["images"][:] = pictures
    settings = {"stabilise_kimg": 0.4, "ema_half_life_kimg": 0.1, "learning_rate": 0.003}
    train_gan(**arguments(path, tmp_path, final_kimg=0.8, **settings))
    generator, _ = networks_from(read_checkpoint(tmp_path / "generator.pt"))
    with torch.no_grad():
        fakes = generator(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
    assert fakes.mean().item() * 127.5 + 127.5 == pytest.approx(pictures.mean(), abs=20)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "wgan-gp"},
        {"loss": "wgan-gp", "fresh_latents": False, "n_critic": 2, "precision": "bf16"},
        {"fresh_latents": False, "precision": "bf16", "reset_optimizer": False},
        {"start_resolution": 4, "group_size": 2, "ema_half_life_kimg": 0.01},
    ],
)
def test_each_way_of_training_runs_and_goes_on_to_the_byte(images, tmp_path, changes):
    train_gan(**arguments(images, tmp_path / "whole", **changes))
    with pytest.raises(Stopped):
        train_gan(
            **arguments(
                images,
                tmp_path / "cut",
                resume_interval_s=0,
                on_tick=stop_at(0.03, stop),
                **changes,
            )
        )
    train_gan(**arguments(images, tmp_path / "cut", **changes))
    assert generator_bytes(tmp_path / "cut") == generator_bytes(tmp_path / "whole")


# Fine-tuning


def test_fine_tuning_starts_from_the_bases_images(images, whole, tmp_path):
    shown = []

    def keep(trainer, row):
        shown.append(trainer.steps)

    # One step of almost no length: what comes out is what went in.
    settings = {"base": whole / "generator.pt", "finetune_kimg": 0.004, "learning_rate": 1e-12}
    train_gan(**arguments(images, tmp_path, on_tick=keep, **settings))
    before, _ = networks_from(read_checkpoint(whole / "generator.pt"))
    after, _ = networks_from(read_checkpoint(tmp_path / "generator.pt"))
    latents = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(after(latents), before(latents), atol=1e-4, rtol=0)
    assert shown == [1]


def test_frozen_critic_layers_stay_those_of_the_base(images, whole, tmp_path):
    train_gan(**arguments(images, tmp_path, base=whole / "generator.pt", freeze_d=1))
    before = read_checkpoint(whole / "generator.pt")["critic"]
    after = read_checkpoint(tmp_path / "generator.pt")["critic"]
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {name for name in before if name.startswith(("blocks.16.", "from_grey."))}
    assert same == frozen


def test_more_frozen_layers_than_there_are_is_an_error(images, whole, tmp_path):
    with pytest.raises(ValueError, match="freeze_d: got 3; takes at most 2, the blocks"):
        train_gan(**arguments(images, tmp_path, base=whole / "generator.pt", freeze_d=3))


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"finding": "Fracture"}, "finding Lung Lesion where it should be Fracture"),
        ({"recipe": "base"}, "recipe plain where it should be base"),
        ({"fraction": 50.0}, "fraction 10.0 where it should be 50.0"),
        ({"draw": 1}, "draw 0 where it should be 1"),
    ],
)
def test_a_training_set_in_anothers_place_is_refused(images, tmp_path, of, told):
    with pytest.raises(ValueError, match=f"set of another GAN, with {told}; remove the file"):
        train_gan(**arguments(images, tmp_path, **of))
    assert not list(tmp_path.rglob("*"))


def test_a_base_of_another_form_is_refused(images, whole, tmp_path):
    with pytest.raises(ValueError, match="has fmap_max 8, the settings ask for 4"):
        train_gan(**arguments(images, tmp_path, base=whole / "generator.pt", fmap_max=4))


def test_a_base_that_is_no_generator_file_is_refused(images, tmp_path):
    write_json(tmp_path / "generator.pt", {"no": "weights"})
    with pytest.raises(ValueError, match="not a generator file"):
        train_gan(**arguments(images, tmp_path / "run", base=tmp_path / "generator.pt"))


# Small and odd training sets


def test_fewer_images_than_a_minibatch_are_shown_more_than_once_with_a_warning(tmp_path, caplog):
    few = write_training_set(tmp_path / "set.h5", count=3)
    train_gan(**arguments(few, tmp_path))
    assert "3 images, fewer than a minibatch of 4" in caplog.text
    assert (tmp_path / "generator.pt").exists()


def test_one_image_is_an_error(tmp_path):
    one = write_training_set(tmp_path / "set.h5", count=1)
    with pytest.raises(ValueError, match="holds 1 image"):
        train_gan(**arguments(one, tmp_path))


# Interruptions


def test_a_run_stopped_between_saves_goes_on_to_the_byte(images, whole, tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(Stopped):
        train_gan(**arguments(images, tmp_path, resume_interval_s=0, on_tick=stop_at(0.04, stop)))
    train_gan(**arguments(images, tmp_path))
    assert "going on at 0.044 kimg" in caplog.text
    for name in ("generator.pt", "samples.png", "generator.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    columns = pd.read_csv(whole / "training.csv").drop(columns="s_per_kimg")
    pd.testing.assert_frame_equal(
        columns, pd.read_csv(tmp_path / "training.csv").drop(columns="s_per_kimg")
    )


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(images, whole, tmp_path):
    """It saves after every step, so many of the kills hit the writing."""
    keywords = arguments(images, tmp_path, resume_interval_s=0)
    run_under_kills(tmp_path / "state", lambda: child(train_gan, **keywords))
    assert generator_bytes(tmp_path) == generator_bytes(whole)


def test_a_second_process_may_not_train_in_the_same_folder(images, tmp_path):
    keywords = arguments(images, tmp_path, final_kimg=50)
    process = child(train_gan, **keywords)
    try:
        wait_until_locked(tmp_path / "state", process)
        with pytest.raises(TimeoutError, match="another process trains here"):
            train_gan(**keywords, lock_wait_s=0.1)
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGURG])
def test_a_warning_signal_saves_and_goes_on(images, whole, tmp_path, number):
    """Without it a run as short as this saves at its end alone."""
    seen = []

    def on_tick(trainer, row):
        seen.append(len(list((tmp_path / "state").glob("*.pt"))))
        if row["kimg"] == 0.024:
            os.kill(os.getpid(), number)

    train_gan(**arguments(images, tmp_path, on_tick=on_tick))
    assert seen == [0, 0, 1, 1, 1, 1, 1]
    assert generator_bytes(tmp_path) == generator_bytes(whole)


def test_an_interrupt_saves_and_ends(images, whole, tmp_path):
    interrupt = stop_at(0.04, lambda trainer: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train_gan(**arguments(images, tmp_path, on_tick=interrupt))
    assert not (tmp_path / "generator.pt").exists()
    ticks = []
    train_gan(**arguments(images, tmp_path, on_tick=lambda trainer, row: ticks.append(row["kimg"])))
    assert ticks[0] > 0.04
    assert generator_bytes(tmp_path) == generator_bytes(whole)


def test_a_finished_run_writes_its_outputs_again_without_training(images, tmp_path):
    train_gan(**arguments(images, tmp_path))
    before = generator_bytes(tmp_path)
    for name in OUTPUTS:
        (tmp_path / name).unlink()
    train_gan(**arguments(images, tmp_path, on_tick=stop_at(0, stop)))
    assert generator_bytes(tmp_path) == before
    assert all((tmp_path / name).exists() for name in OUTPUTS)


@pytest.mark.parametrize("change", [{"learning_rate": 0.002}, {"code": "other"}, {"seed": 2}])
def test_a_state_of_other_settings_or_code_is_refused_with_a_warning(
    images, tmp_path, change, caplog
):
    train_gan(**arguments(images, tmp_path))
    ticks = []
    keep = lambda trainer, row: ticks.append(row["kimg"])  # noqa: E731
    train_gan(**arguments(images, tmp_path, on_tick=keep, **change))
    assert "other settings, code or data" in caplog.text
    assert ticks[0] == 0.012


def test_a_state_of_other_data_is_refused_with_a_warning(tmp_path, caplog):
    train_gan(**arguments(write_training_set(tmp_path / "set.h5"), tmp_path))
    changed = write_training_set(tmp_path / "set.h5", count=11)
    train_gan(**arguments(changed, tmp_path))
    assert "other settings, code or data" in caplog.text


class WithOneMore(GanSettings):
    """The section with a setting more."""

    more: int = 0


class WithOneMoreConvenience(GanSettings):
    """The section with a setting more that changes no result."""

    more: Annotated[int, NO_EFFECT] = 0


def test_a_new_setting_refuses_a_state_unless_it_has_no_effect(images, tmp_path, caplog):
    """Whatever the section holds is in the identity: nothing lists its settings once more."""
    done = {"on_tick": stop_at(0, stop)}
    train_gan(**arguments(images, tmp_path, of=WithOneMoreConvenience, more=0))
    train_gan(**arguments(images, tmp_path, of=WithOneMoreConvenience, more=1, **done))
    assert not caplog.records
    train_gan(**arguments(images, tmp_path, of=WithOneMore, more=0))
    assert "other settings, code or data" in caplog.text
    caplog.clear()
    with pytest.raises(Stopped):
        train_gan(**arguments(images, tmp_path, of=WithOneMore, more=1, **done))
    assert "other settings, code or data" in caplog.text


def test_settings_without_effect_do_not_refuse_a_state(images, tmp_path, caplog):
    train_gan(**arguments(images, tmp_path))
    train_gan(
        **arguments(
            images, tmp_path, resume_interval_s=7, study="renamed", on_tick=stop_at(0, stop)
        )
    )
    assert not caplog.records


def test_a_weight_that_is_not_finite_stops_the_run_and_keeps_the_good_state(images, tmp_path):
    def poison(trainer):
        with torch.no_grad():
            trainer.critic.last.weight[0, 0] = float("nan")

    with pytest.raises(
        NotFiniteError, match=r"critic.*kimg.*Try a smaller gan.learning_rate"
    ) as error:
        train_gan(
            **arguments(images, tmp_path, resume_interval_s=0, on_tick=stop_at(0.024, poison))
        )
    assert "0.02" in str(error.value)
    assert not (tmp_path / "generator.pt").exists()
    train_gan(**arguments(images, tmp_path))
    generator, _ = networks_from(read_checkpoint(tmp_path / "generator.pt"))
    assert all(torch.isfinite(weight).all() for weight in generator.parameters())


def test_a_loss_that_is_not_finite_is_named_with_its_kimg(images, tmp_path):
    def blow_up(trainer):
        with torch.no_grad():
            for weight in trainer.critic.parameters():
                weight.mul_(1e30)

    words = r"(loss|score|penalty) was not finite at 0\.0\d+ kimg"
    with pytest.raises(NotFiniteError, match=words):
        train_gan(**arguments(images, tmp_path, on_tick=stop_at(0.012, blow_up)))
