"""The regions of an image that occlusion hides: size, distance and number."""

# Sides of a window and distances between windows, as shares of an image's side: 4 and 2 pixels of
# 32, 28 and 14 of 224, 40 and 20 of 320. A chest is about 35 cm wide, so a window hides about
# 4.5 cm: more than most nodules, less than a lobe. At every resolution there are 15 windows in each
# direction.
WINDOW, STRIDE = 1 / 8, 1 / 16


def window_and_stride(side: int) -> tuple[int, int]:
    """Side of the windows and distance between two of them, in pixels, for images of `side`."""
    return max(2, round(WINDOW * side)), max(1, round(STRIDE * side))


def number_of_windows(side: int) -> int:
    """How often an image of `side` pixels is shown with a part of it hidden."""
    window, stride = window_and_stride(side)
    return (1 - (window - side) // stride) ** 2
