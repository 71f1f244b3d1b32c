import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.classifier.schedule import epoch_length, learning_rate, shown


@settings(deadline=None)
@given(
    examples=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6).map(sorted),
)
def test_wherever_a_run_is_cut_it_shows_the_same_images(examples, cuts):
    pieces = [
        shown(examples, a, b, key=(1,)) for a, b in zip(cuts, cuts[1:], strict=False) if b > a
    ]
    if cuts[-1] > cuts[0]:
        whole = shown(examples, cuts[0], cuts[-1], key=(1,))
        assert np.array_equal(np.concatenate(pieces), whole)


def test_no_image_comes_again_before_all_have_come():
    order = shown(10, 0, 35, key=(3,))
    for begin in (0, 10, 20):
        assert sorted(order[begin : begin + 10]) == list(range(10))
    assert len(set(order[30:])) == 5
    assert list(order[:10]) != list(order[10:20])


def test_order_depends_on_the_seed():
    assert list(shown(50, 0, 50, key=(0, 0))) != list(shown(50, 0, 50, key=(1, 0)))


@pytest.mark.parametrize(
    ("epoch_images", "length"), [("real", 112), ("all", 160), (50, 64), (16, 16)]
)
def test_an_epoch_is_whole_batches(epoch_images, length):
    assert epoch_length(epoch_images, real=100, examples=150, batch=16) == length


def test_cosine_falls_from_the_rate_to_nothing():
    assert learning_rate("cosine", 0.1, 0, 400) == pytest.approx(0.1)
    assert learning_rate("cosine", 0.1, 200, 400) == pytest.approx(0.05)
    assert learning_rate("cosine", 0.1, 400, 400) == pytest.approx(0)
    assert learning_rate("constant", 0.1, 399, 400) == 0.1
