"""The order in which a training shows its images."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rarecxr.core.order import EndlessPermutation


@settings(deadline=None)
@given(
    items=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6).map(sorted),
)
def test_wherever_a_run_is_cut_it_shows_the_same_images(items, cuts):
    order = EndlessPermutation(items, 1)
    pieces = [order.read(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
    whole = EndlessPermutation(items, 1).read(cuts[0], cuts[-1])
    assert np.array_equal(np.concatenate(pieces), whole)
    # In any order of reading, too.
    again = [order.read(a, b) for a, b in zip(cuts[-2::-1], cuts[:0:-1], strict=False)]
    assert np.array_equal(np.concatenate(again[::-1]), whole)


def test_no_image_comes_again_before_all_have_come():
    order = EndlessPermutation(10, 3).read(0, 35)
    for begin in (0, 10, 20):
        assert sorted(order[begin : begin + 10]) == list(range(10))
    assert len(set(order[30:])) == 5
    assert list(order[:10]) != list(order[10:20])


def test_the_order_depends_on_the_whole_key():
    orders = [EndlessPermutation(50, *key).read(0, 50) for key in ((0, 0), (1, 0), (0, 1))]
    assert len({tuple(order) for order in orders}) == 3
