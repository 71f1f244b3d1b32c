"""A wrong configuration is refused with the key, what it got and what it takes."""

import copy
from pathlib import Path

import pytest
import yaml

from rarecxr.study.configuration import check

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "config/schema.yaml"
REFERENCE = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
# Each with the files that it is given after.
STUDIES = {
    "chexpert.yaml": (),
    "cxr-real.yaml": (),
    "evidence.yaml": (),
    "evidence-small.yaml": ("evidence.yaml",),
    "evidence-real.yaml": (),
}


def merged(base, changes):
    """What Snakemake makes of a config file on another: mappings merge, the rest replaces."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def nested(key, value):
    for part in reversed(key.split("/")):
        value = {part: value}
    return value


def refusal(key, value):
    with pytest.raises(ValueError, match="the configuration cannot be used") as caught:
        check(merged(REFERENCE, nested(key, value)), SCHEMA)
    return str(caught.value).splitlines()[1:]


def test_the_reference_is_accepted():
    check(REFERENCE, SCHEMA)


@pytest.mark.parametrize("name", STUDIES)
def test_the_shipped_studies_are_accepted_and_name_only_what_differs(name):
    below = REFERENCE
    for other in STUDIES[name]:
        below = merged(below, yaml.safe_load((ROOT / "config" / other).read_text(encoding="utf-8")))
    study = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    check(merged(below, study), SCHEMA)

    def repeated(changes, base):
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                yield from repeated(value, base[key])
            elif key in base and value == base[key]:
                yield key

    assert list(repeated(study, below)) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset/fractoins", [1], "dataset.fractoins: no such key; did you mean fractions?"),
        ("stduy", "x", "stduy: no such key; did you mean study?"),
        ("gan/lrr", 0.1, "gan.lrr: no such key; did you mean lr?"),
        ("dataset/seed", "one", "dataset.seed: got 'one'; takes a whole number, at least 0"),
        ("dataset/watch_images", 1, "dataset.watch_images: got 1; takes true or false"),
        (
            "dataset/findings",
            ["Fracture", "Lung Leison"],
            "dataset.findings[1]: got 'Lung Leison'; takes one of",
        ),
        (
            "dataset/target_findings",
            ["Fracture", "Nodule"],
            "dataset.target_findings[1]: got 'Nodule'; takes one of dataset.findings: No Finding,",
        ),
        (
            "dataset/planned_findings",
            ["Nodule"],
            "dataset.planned_findings[0]: got 'Nodule'; takes one of dataset.findings: No Finding,",
        ),
        ("dataset/fractions", [10, 0], "dataset.fractions[1]: got 0; takes a number, above 0"),
        ("dataset/fractions", [10, 100.5], "dataset.fractions[1]: got 100.5; takes a number"),
        ("dataset/resolution", 100, "dataset.resolution: got 100; takes one of 8, 16, 32, 64"),
        ("gan/resolution", 48, "gan.resolution: got 48; takes one of 8, 16, 32, 64"),
        (
            "arms/gan/recipe",
            "sharpened",
            "arms.gan.recipe: got 'sharpened'; takes one of recipes: plain, filtered",
        ),
        (
            "classifier/arms",
            ["none", "cutmix"],
            "classifier.arms[1]: got 'cutmix'; takes one of arms: none,",
        ),
        (
            "recipes/filtered",
            ["gaussian", "median"],
            "recipes.filtered: got the filter 'median'; takes names from filters: gaussian,",
        ),
        ("filters/gaussian/size_px", 4, "filters.gaussian.size_px: got 4; takes one of 3, 5"),
        ("filters/gaussian/amount", 1, "filters.gaussian.amount: no such key"),
        ("dataset/uncertain/Edema", "maybe", "dataset.uncertain.Edema: got 'maybe'; takes one of"),
        ("dataset/thin/Oedema", 0.5, "dataset.thin.Oedema: no such finding; takes one of"),
        ("dataset/thin/Edema", 0, "dataset.thin.Edema: got 0; takes a number, above 0"),
        ("bank/ratio", [0.5, 0], "bank.ratio"),
        ("dataset/uncertain/Oedema", "ones", "dataset.uncertain.Oedema: no such finding"),
        (
            "classifier/learning_rate",
            "1e-3",
            "classifier.learning_rate: got '1e-3'; takes a number",
        ),
        ("study", "../elsewhere", "study: got '../elsewhere'; takes text"),
        ("draws", 0, "draws: got 0; takes a whole number, at least 1"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_a_wrong_setting_is_named_with_what_it_got_and_takes(key, value, message):
    lines = refusal(key, value)
    assert len(lines) == 1, lines
    assert message in lines[0]


def test_a_cache_below_the_gans_resolution_is_refused():
    wrong = merged(REFERENCE, {"dataset": {"resolution": 32}, "gan": {"resolution": 64}})
    with pytest.raises(ValueError, match=r"dataset\.resolution: got 32; takes a power of two not"):
        check(wrong, SCHEMA)


def test_a_list_of_ratios_beside_a_number_is_refused():
    wrong = merged(REFERENCE, {"bank": {"ratio": [0.5, 2.0], "number": 30}})
    with pytest.raises(
        ValueError, match=r"bank\.number: got 30 beside a list of ratios; takes null"
    ):
        check(wrong, SCHEMA)
    check(merged(REFERENCE, {"bank": {"ratio": [0.5, 2.0]}}), SCHEMA)


def test_several_mistakes_are_told_at_once():
    wrong = merged(REFERENCE, {"draws": 0, "dataset": {"seed": -1}})
    with pytest.raises(ValueError, match=r"(?s)dataset\.seed: got -1.*draws: got 0"):
        check(wrong, SCHEMA)


def keys_of(schema, path=""):
    """Dotted name and schema of every key of the sections."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}{name}", part
        # Shares by finding are optional, each by itself.
        if part.get("additionalProperties") is False and name != "prevalence":
            yield from keys_of(part, f"{path}{name}.")


def test_every_key_has_a_place_in_the_reference_and_a_description():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    for key, part in keys_of(schema):
        value = REFERENCE
        for name in key.split("."):
            assert name in value, f"{key} is not in config.yaml"
            value = value[name]
        assert part.get("description"), f"{key} has no description"


def test_every_key_has_its_value_in_the_reference_as_default():
    for key, part in keys_of(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))):
        # Sections hold keys; what a study names itself (arms, filters and so on) is shown there.
        if "properties" in part or ("propertyNames" in part and "." not in key):
            continue
        value = REFERENCE
        for name in key.split("."):
            value = value[name]
        assert part.get("default", "nothing") == value, key


def test_every_key_of_the_reference_has_a_comment_above_or_on_its_line():
    lines = (ROOT / "config/config.yaml").read_text(encoding="utf-8").splitlines()
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    for key, _ in keys_of(schema):
        depth, name = key.count("."), key.split(".")[-1]
        at = [i for i, line in enumerate(lines) if line.startswith("  " * depth + f"{name}:")]
        assert at, key
        commented = any(
            "#" in lines[i] or lines[i - 1].strip().startswith("#") or _in_group(lines, i)
            for i in at
        )
        assert commented, f"{key} has no comment"


def _in_group(lines, at):
    """Whether only keys of the same depth stand between line `at` and a comment above."""
    depth = len(lines[at]) - len(lines[at].lstrip())
    while at > 0 and lines[at].strip():
        at -= 1
        if lines[at].strip().startswith("#"):
            return True
        if len(lines[at]) - len(lines[at].lstrip()) != depth:
            return False
    return False
