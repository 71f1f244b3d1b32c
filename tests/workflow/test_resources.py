"""What jobs ask for comes from the configuration or the command line, and grows."""

import re

import pytest


@pytest.fixture
def asked(house):
    """What trainings of GANs ask for, by name of the resource, in a dry run."""
    house.configure(
        dataset__root=None,
        gan__device="auto",
        jobs={"minutes": {"train_gan": 100}, "memory_mb": {"train_gan": 1000}, "max_minutes": 250},
    )

    def asked(*arguments):
        text = house.snakemake("-n", *arguments)
        found = re.findall(r"^rule train_gan:\n(?:    .*\n)*?    resources: (.*)$", text, re.M)
        assert len(found) == 4
        assert len(set(found)) == 1
        return dict(part.split("=", 1) for part in found[0].split(", "))

    return asked


@pytest.mark.parametrize(
    ("attempt", "memory", "minutes"), [(1, "1000", "100"), (2, "2000", "200"), (3, "3000", "250")]
)
def test_a_later_attempt_asks_for_more_up_to_the_bound(asked, attempt, memory, minutes):
    resources = asked("--attempt", str(attempt))
    assert (resources["mem_mb"], resources["runtime"]) == (memory, minutes)
    assert resources["gpu"] == "1"


def test_the_command_line_has_the_last_word(asked):
    resources = asked("--set-resources", "train_gan:mem_mb=7000", "train_gan:gpu_model=a100")
    assert (resources["mem_mb"], resources["gpu_model"]) == ("7000", "a100")
    assert resources["runtime"] == "100"
