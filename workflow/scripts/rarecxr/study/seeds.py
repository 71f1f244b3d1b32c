"""Seeds for the many uses of random numbers in one study."""

import hashlib


def seed_for(seed: int, *place: int | float | str) -> int:
    """A seed for one use, independent of those for all others, from 0 to 2^63 - 1.

    Args:
        seed: the study's.
        place: what it is for: words and numbers, such as a step or a finding.
    """
    text = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
