"""Seeds: stable, and different for every use."""

from rarecxr.study.seeds import seed_for


def test_a_seed_is_stable_whatever_the_process():
    """SHA-256 of "1/step/5", its first eight bytes without the last bit."""
    assert seed_for(1, "step", 5) == seed_for(1, "step", 5) == 3482747683096191200


def test_seeds_differ_by_seed_use_and_number():
    seeds = {seed_for(seed, use, step) for seed in range(5) for use in "ab" for step in range(50)}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)
