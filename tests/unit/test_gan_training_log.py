"""Terms over a tick, training.csv and TensorBoard."""

import math

import pandas as pd
import pytest
import torch
from gan_files import arguments, write_training_set
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rarecxr.gan.training import train_gan
from rarecxr.gan.training_log import COLUMNS, NotFiniteError, RunningMeans, write_rows


def filled(values, term="critic_loss"):
    means = RunningMeans()
    for images, value in values.items():
        means.add(images, **{term: torch.tensor(value)})
    return means


def test_means_are_those_of_each_terms_own_values():
    means = filled({0: 1.0, 8: 3.0})
    means.add(16, gradient_penalty=torch.tensor(5.0))
    assert means.means() == {"critic_loss": 2.0, "gradient_penalty": 5.0}
    means.clear()
    assert means.means() == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_value_that_is_not_finite_is_named_with_its_time(bad):
    means = filled({0: 1.0, 500: bad, 1000: bad, 1500: 1.0})
    means.add(800, generator_loss=torch.tensor(bad))
    with pytest.raises(NotFiniteError, match=r"critic_loss was not finite at 0\.500 kimg"):
        means.check()


def test_finite_values_pass():
    filled({0: 1.0, 8: -1e30}).check()


def test_means_go_on_from_its_state():
    means, again = filled({0: 1.0, 500: math.nan}), RunningMeans()
    again.load_state(means.state(), torch.device("cpu"))
    again.add(900, critic_loss=torch.tensor(math.nan))
    with pytest.raises(NotFiniteError, match=r"0\.500 kimg"):
        again.check()
    means, again = filled({0: 1.0, 8: 2.0}), RunningMeans()
    again.load_state(means.state(), torch.device("cpu"))
    again.add(16, critic_loss=torch.tensor(6.0))
    assert again.means() == {"critic_loss": 3.0}


def test_rows_are_written_with_all_columns_and_gaps_where_there_is_nothing(tmp_path):
    rows = [{"kimg": 0.5, "critic_loss": 1 / 3}, {"kimg": 1.0, "ada_p": 0.25}]
    write_rows(tmp_path / "training.csv", rows)
    found = pd.read_csv(tmp_path / "training.csv")
    assert tuple(found.columns) == COLUMNS
    assert found["critic_loss"].iloc[0] == pytest.approx(1 / 3, rel=1e-5)
    assert math.isnan(found["critic_loss"].iloc[1])
    assert found["ada_p"].iloc[1] == 0.25


def test_scalars_are_the_rows_of_training_csv(tmp_path):
    images = write_training_set(tmp_path / "set.h5")
    train_gan(**arguments(images, tmp_path, tensorboard=True))
    events = EventAccumulator(str(tmp_path / "state" / "tensorboard"))
    events.Reload()
    rows = pd.read_csv(tmp_path / "training.csv")
    scalars = events.Scalars("generator_loss")
    assert [event.step for event in scalars] == [round(1000 * kimg) for kimg in rows["kimg"]]
    for event, wanted in zip(scalars, rows["generator_loss"], strict=True):
        assert event.value == pytest.approx(wanted, rel=1e-4)
