import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarecxr.classifier.schedule import epoch_length, learning_rate
from rarecxr.core.order import EndlessPermutation


@pytest.mark.parametrize(
    ("epoch_images", "length"),
    [("largest", 208), ("real", 112), ("all", 160), (50, 64), (16, 16)],
)
def test_an_epoch_is_whole_batches(epoch_images, length):
    sizes = {"real": 100, "examples": 150, "largest": 200}
    assert epoch_length(epoch_images, **sizes, batch=16) == length


@given(
    examples=st.integers(1, 60),
    more=st.integers(0, 60),
    epochs=st.integers(1, 6),
    batch=st.integers(1, 17),
)
def test_no_image_is_shown_less_than_once_an_epoch(examples, more, epochs, batch):
    length = epoch_length("largest", 0, examples, largest=examples + more, batch=batch)
    row = EndlessPermutation(examples, 0)
    order = np.concatenate([row.read(e * length, (e + 1) * length) for e in range(epochs)])
    counts = np.bincount(order, minlength=examples)
    assert counts.min() >= epochs
    assert counts.max() - counts.min() <= 1


def test_cosine_falls_from_the_rate_to_nothing():
    assert learning_rate("cosine", 0.1, 0, 400) == pytest.approx(0.1)
    assert learning_rate("cosine", 0.1, 200, 400) == pytest.approx(0.05)
    assert learning_rate("cosine", 0.1, 400, 400) == pytest.approx(0)
    assert learning_rate("constant", 0.1, 399, 400) == 0.1
