import pytest

from rarecxr.classifier.schedule import epoch_length, learning_rate


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
