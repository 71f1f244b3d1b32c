"""What jobs ask a cluster for."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rarecxr.study.values import Section, Value, Varying

Megabytes = Annotated[int, Field(ge=100, le=100_000_000)]
Minutes = Annotated[int, Field(ge=1, le=1_000_000)]


class ByRule(Varying[Value]):
    """Values by rule, and `default` for the others."""

    KEYS = (
        "make_phantoms",
        "index_images",
        "label_images",
        "split_patients",
        "draw_patients",
        "decode_images",
        "cache_pixels",
        "make_training_set",
        "make_validation_set",
        "train_features",
        "train_gan",
        "make_bank",
        "measure_bank",
        "describe_bank",
        "measure_filters",
        "pretrain_classifier",
        "train_classifier",
        "explain_classifiers",
        "predict_external",
        "check_leakage",
        "evaluate",
        "make_report",
    )


class JobSettings(Section):
    """What jobs ask a cluster for; no result depends on it.

    On one machine `--resources mem_mb=…` shares its memory out by the same numbers. Partition,
    account and kind of GPU are the site's: profiles/slurm/config.yaml.
    """

    memory_mb: ByRule[Megabytes] = ByRule(
        2000,
        {
            "make_phantoms": 4000,
            "decode_images": 4000,
            "make_training_set": 4000,
            "make_validation_set": 4000,
            "train_features": 8000,
            "train_gan": 16000,
            "make_bank": 8000,
            "measure_bank": 8000,
            "measure_filters": 8000,
            "check_leakage": 4000,
            "pretrain_classifier": 8000,
            "train_classifier": 8000,
            "explain_classifiers": 8000,
            "predict_external": 8000,
            "evaluate": 4000,
            "make_report": 4000,
        },
    )
    """Memory of a first attempt in MB, by rule and by default.

    A second attempt asks for twice as much, a third for three times. train_classifier,
    pretrain_classifier, predict_external and train_features get their pixel_memory_mib beside it.
    """
    minutes: ByRule[Minutes] = ByRule(
        15,
        {
            "make_phantoms": 240,
            "decode_images": 240,
            "cache_pixels": 60,
            "make_training_set": 60,
            "make_validation_set": 60,
            "train_features": 1440,
            "train_gan": 2880,
            "make_bank": 120,
            "measure_bank": 120,
            "describe_bank": 30,
            "measure_filters": 60,
            "check_leakage": 60,
            "pretrain_classifier": 1440,
            "train_classifier": 1440,
            "explain_classifiers": 60,
            "predict_external": 240,
            "evaluate": 60,
            "make_report": 30,
        },
    )
    """Time limit of a first attempt in minutes, by rule and by default; grows likewise."""
    max_memory_mb: Megabytes | None = None
    """Memory in MB that no attempt goes beyond, such as a partition's limit; null for no bound."""
    max_minutes: Minutes | None = None
    """Time limit in minutes that no attempt goes beyond; null for no bound."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Rules without a value."""
        for key in ("memory_mb", "minutes"):
            if getattr(self, key).default is None:
                yield key, "has no default, which the rules that are not named take"
