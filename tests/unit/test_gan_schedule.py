"""The schedule as a pure function of the images shown."""

import pytest

from rarecxr.gan.schedule import Schedule
from rarecxr.study.configuration.gan import GanSettings


def settings(**changes):
    values = {"resolution": 32, "start_resolution": 8, "fade_kimg": 2, "stabilise_kimg": 3}
    return GanSettings(**(values | {"final_kimg": 5} | changes))


def test_the_schedule_of_a_case_worked_by_hand():
    """8 px for 3 kimg, 16 px fades in to 5 and holds to 8, 32 px fades in to 10, holds to 15."""
    schedule = Schedule(settings())
    wanted = {
        0: (8, 1.0),
        2999: (8, 1.0),
        3000: (16, 0.0),
        4000: (16, 0.5),
        4999: (16, 1999 / 2000),
        5000: (16, 1.0),
        7999: (16, 1.0),
        8000: (32, 0.0),
        9500: (32, 0.75),
        10_000: (32, 1.0),
        14_999: (32, 1.0),
    }
    found = {images: schedule.at(images) for images in wanted}
    assert {i: (m.resolution, m.alpha) for i, m in found.items()} == wanted
    assert schedule.images == 15_000


def test_a_phase_begins_where_a_fade_begins_and_where_it_ends():
    schedule = Schedule(settings())
    phases = [schedule.at(images).phase for images in range(0, 15_000, 100)]
    changes = [100 * place for place in range(1, 150) if phases[place] != phases[place - 1]]
    assert changes == [3000, 5000, 8000, 10_000]


def test_the_last_moment_holds_after_the_end():
    schedule = Schedule(settings())
    assert schedule.at(15_000) == schedule.at(99_999) == schedule.at(14_999)


def test_the_published_schedule_reaches_256_pixels_after_7200_kimg():
    """600 kimg for each fade and each resolution from 4x4 (appendix A)."""
    schedule = Schedule(
        GanSettings(
            resolution=256,
            start_resolution=4,
            fade_kimg=600,
            stabilise_kimg=600,
            final_kimg=4800,
        )
    )
    assert schedule.at(7_199_999).alpha < 1
    assert schedule.at(7_200_000).resolution == 256
    assert schedule.at(7_200_000).alpha == 1
    assert schedule.images == 12_000_000


def test_lengths_may_differ_by_resolution():
    schedule = Schedule(settings(fade_kimg={"16px": 1, "default": 4}, stabilise_kimg=1))
    assert schedule.images == 1000 * (1 + 1 + 1 + 4 + 5)


def test_fine_tuning_is_one_phase_at_full_resolution():
    schedule = Schedule(settings(finetune_kimg=0.5), finetune=True)
    assert {(schedule.at(i).resolution, schedule.at(i).alpha) for i in range(500)} == {(32, 1.0)}
    assert schedule.images == 500


def test_a_start_at_the_full_resolution_has_no_fade():
    schedule = Schedule(settings(start_resolution=32))
    assert schedule.phases == [(32, 5000, False)]


def test_a_fade_of_no_length_is_passed_over():
    schedule = Schedule(settings(fade_kimg=0))
    assert schedule.at(3000).alpha == 1
    assert schedule.at(3000).resolution == 16


@pytest.mark.parametrize("kimg", [0.016, 1.003])
def test_lengths_are_whole_images(kimg):
    assert Schedule(settings(finetune_kimg=kimg), finetune=True).images == round(1000 * kimg)
