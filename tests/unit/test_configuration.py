"""A wrong configuration is refused with the key, what it got and what it takes."""

import copy
import math
import re
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import get_args

import jsonschema
import pytest
import yaml

from rarecxr.study.architectures import TORCHVISION
from rarecxr.study.check import RENAMED, check
from rarecxr.study.configuration.dataset import DatasetSettings
from rarecxr.study.configuration.pixels import PixelSettings
from rarecxr.study.configuration.study import Configuration, doubts
from rarecxr.study.documents import reference, schema_text
from rarecxr.study.schema import json_schema
from rarecxr.study.values import ByFinding, ByResolution, NoEffect, Section

ROOT = Path(__file__).parents[2]
REFERENCE = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
STUDIES = (
    "chexpert.yaml",
    "chexpert-look.yaml",
    "nih.yaml",
    "cxr-real.yaml",
    "cxr-external.yaml",
    "evidence.yaml",
    "evidence-real.yaml",
)


def merged(base, changes):
    """What Snakemake makes of a config file on another: mappings merge, the rest replaces."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


# A study whose sizes the cases below are about, whatever the reference's are.
STUDY = merged(
    REFERENCE,
    {
        "dataset": {
            "target_findings": ["Lung Lesion", "Pleural Other", "Fracture"],
            "resolution": 64,
            "reserve_percent": 0,
        },
        "gan": {"resolution": 64, "batch_size": 16},
        "bank": {"ratio": 2.0},
        "classifier": {"arms": ["none", "oversample", "gan", "balanced_gan"]},
    },
)


def nested(key, value):
    for part in reversed(key.split("/")):
        value = {part: value}
    return value


def refusal(key, value, base=REFERENCE):
    """The lines that a wrong value is refused with."""
    with pytest.raises(ValueError, match="the configuration cannot be used") as caught:
        check(merged(base, nested(key, value)))
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


# The files that are made from the model


def test_the_reference_is_accepted_and_says_what_the_model_has_as_defaults():
    assert check(REFERENCE) == Configuration()


@pytest.mark.parametrize(
    ("name", "text"), [("config.yaml", reference), ("schema.yaml", schema_text)]
)
def test_the_files_made_from_the_model_are_up_to_date(name, text):
    found = (ROOT / "config" / name).read_text(encoding="utf-8")
    assert found == text(), (
        f"config/{name} is not what the model says: python workflow/scripts/write_config.py"
    )


@pytest.mark.parametrize("name", STUDIES)
def test_the_shipped_studies_are_accepted_and_name_only_what_differs(name):
    study = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    check(merged(REFERENCE, study))
    # Editors check files against the schema.
    jsonschema.Draft202012Validator(json_schema()).validate(merged(REFERENCE, study))

    def repeated(changes, base):
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                yield from repeated(value, base[key])
            elif key in base and value == base[key]:
                yield key

    assert list(repeated(study, REFERENCE)) == []


# Every key in turn

TABLE = {"format": "table", "root": "data", "columns": {"path": "file", "labels": "found"}}
EXTERNAL = {"other": merged(TABLE, {"root": "elsewhere"})}


def fields(kind, path=()):
    """Place and field of every setting of a section, those of its parts included."""
    for name, field in kind.model_fields.items():
        place = (*path, name)
        held = next((part for part in parts(field.annotation) if is_section(part)), None)
        by_name = getattr(field.annotation, "__origin__", None) is dict
        if held is None:
            yield place, field
        elif by_name:
            # Of external sets the reference has none.
            entry = next(iter(REFERENCE.get(name, EXTERNAL)))
            for part in filter(is_section, parts(field.annotation)):
                kinds = {"Gaussian": "gaussian", "Unsharp": "unsharp", "Minimum": "minimum"}
                yield from fields(part, (*place, kinds.get(part.__name__, entry)))
        else:
            yield place, field
            yield from fields(held, place)


def parts(annotation):
    yield annotation
    for part in get_args(annotation):
        yield from parts(part)


def is_section(part):
    return isinstance(part, type) and issubclass(part, Section)


FIELDS = {"/".join(place): field for place, field in fields(Configuration)}
# With all parts that are null in the reference.
DATASET = merged(TABLE, {"external": EXTERNAL})
FULL = merged(REFERENCE, {"gan": {"ada": {}}, "arms": {"none": {}}, "dataset": DATASET})


def node_of(key):
    """What the schema says of one key, null left out."""
    schema = json_schema()
    node = schema
    for part in key.split("/"):
        found = {}
        for one in alternatives(schema, node):
            found = one.get("properties", {}).get(part, found)
            found = found or one.get("additionalProperties", {}) or found
            for inner in one.get("patternProperties", {}).values():
                found = found or inner
        node = found
    return [one for one in alternatives(schema, node) if one.get("type") != "null"]


def alternatives(schema, node):
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    inner = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return [part for one in inner for part in alternatives(schema, one)] if inner else [node]


def wrong_values(key, field):
    """Values that one key must refuse."""
    kinds = {one.get("type") for one in node_of(key)}
    yield {"nonsense": 1}
    yield [{"nonsense": 1}]
    yield [[1]]
    yield math.nan
    yield math.inf
    yield -math.inf
    if NoneType not in get_args(field.annotation):
        yield None
    if "boolean" not in kinds:
        yield True
    if "string" not in kinds:
        yield "text"
        yield "1"
    else:
        yield "no\nline end"
        if not kinds & {"integer", "number"}:
            yield 1
    if "number" not in kinds and "integer" not in kinds:
        yield 0.5
    for one in node_of(key):
        step = 1 if one.get("type") == "integer" else 1e-6
        for name, beyond in (("minimum", -step), ("maximum", step)):
            if name in one:
                yield one[name] + beyond
        for name in ("exclusiveMinimum", "exclusiveMaximum"):
            if name in one:
                yield one[name]
        if one.get("minItems"):
            yield []
        if one.get("minLength"):
            yield ""
        if one.get("uniqueItems"):
            given = flat(REFERENCE, key)
            yield [given[0], given[0]] if isinstance(given, list) and given else [2.0, 2.0]


def flat(config, key):
    for part in key.split("/"):
        config = (config or {}).get(part)
    return config or []


def test_the_walk_meets_every_section():
    names = {key.split("/")[0] for key in FIELDS}
    assert names == set(Configuration.model_fields)
    assert {"gan/ada/kimg", "bank/select/copies", "filters/unsharp/amount"} <= set(FIELDS)
    assert {"arms/none/ratio", "transforms/standard/noise", "report/statistics/margin"} <= set(
        FIELDS
    )
    assert len(FIELDS) > 150


@pytest.mark.parametrize("key", FIELDS)
def test_a_wrong_value_of_any_key_is_refused_by_its_name(key):
    free_text = (
        "dataset/name",
        "dataset/terms",
        "dataset/external/other/name",
        "dataset/external/other/terms",
        "report/title",
        "report/introduction",
        "container",
    )
    dotted = key.replace("/", ".")
    tried = 0
    for value in wrong_values(key, FIELDS[key]):
        if value == "no\nline end" and key in free_text:
            continue
        config = copy.deepcopy(FULL)
        below = config
        *place, last = key.split("/")
        for part in place:
            below = below.setdefault(part, {})
        # Replaced, not merged: a whole section at times.
        below[last] = value
        with pytest.raises(ValueError, match="the configuration cannot be used") as caught:
            check(config)
        lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
        assert any(line.startswith(dotted) for line in lines), (value, lines)
        assert "pydantic" not in str(caught.value)
        tried += 1
    assert tried > 6


@pytest.mark.parametrize("key", [key for key in FIELDS if "/" in key])
def test_a_misspelt_key_is_refused_with_the_nearest_one(key):
    *place, last = key.split("/")
    wrong = f"{last[:-1]}x{last[-1]}"
    lines = refusal("/".join([*place, wrong]), 1, FULL)
    assert f"{'.'.join([*place, wrong])}: no such key; did you mean {last}?" in lines


@pytest.mark.parametrize("key", FIELDS)
def test_every_key_has_a_description_and_a_place_in_the_reference(key):
    assert FIELDS[key].description or is_section(FIELDS[key].annotation), key
    name = key.split("/")[-1]
    text = (ROOT / "config/config.yaml").read_text(encoding="utf-8")
    assert re.search(rf"^ *(#   )?{name}\b", text, re.M) or f"{name}:" in text


@pytest.mark.parametrize("old", RENAMED)
def test_a_key_that_had_another_name_is_told(old):
    section, name = old.split(".")
    (line,) = refusal(f"{section}/{name}", 1)
    assert line == f"{old}: no such key any more; it is called {RENAMED[old]}"
    assert RENAMED[old] in REFERENCE[section]


# What is said


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset/fractoins", [1], "dataset.fractoins: no such key; did you mean fractions?"),
        ("stduy", "x", "stduy: no such key; did you mean study?"),
        ("gan/evaluation/imges", 8, "gan.evaluation.imges: no such key; did you mean images?"),
        (
            "dataset/seed",
            "one",
            "dataset.seed: got 'one'; takes a whole number from 0 to 4,294,967,295 (Seed of",
        ),
        ("dataset/watch_images", 1, "dataset.watch_images: got 1; takes true or false"),
        (
            "dataset/test_percent",
            50,
            "dataset.test_percent: got 50; takes a number above 0 and below",
        ),
        ("gan/beta1", 1.0, "gan.beta1: got 1.0; takes a number at least 0 and below 1"),
        (
            "dataset/findings",
            ["Fracture", "Lung Leison"],
            "dataset.findings[1]: got 'Lung Leison'; no such finding of chexpert; did you",
        ),
        ("dataset/findings", ["Lung Leison"], "; did you mean Lung Lesion?"),
        (
            "classifier/arms",
            ["none", "none"],
            "classifier.arms: got [none, none], which has none twice; takes a list, not empty, "
            "without repetition",
        ),
        ("gan/resolution", 48, "gan.resolution: got 48; takes one of 8, 16, 32, 64, 128, 256, 512"),
        ("gan/evaluation", 3, "gan.evaluation: got 3; takes a section, or null"),
        ("gan/evaluation/images", 9, "gan.evaluation.images: got 9; takes a whole number from 10"),
        ("gan/learning_rate", "1e-3", "gan.learning_rate: got '1e-3'; takes a number above 0 and"),
        ("bank/ratio", [0.5, "x"], "bank.ratio[1]: got 'x'; takes a number from 0.01 to 1000"),
        (
            "classifier/epoch_images",
            1.5,
            "classifier.epoch_images: got 1.5; takes one of largest, real, all, or a whole number",
        ),
        ("classifier/architecture", "densnet121", "; did you mean densenet121?"),
        ("study", "연구", "study: got '연구'; takes text, at most 100 characters, letters, digits"),
        ("study", "../elsewhere", "study: got '../elsewhere'; takes text"),
        ("study", "demo\n", 'study: got "demo\\n"; takes text'),
        ("study", "x" * 101, "study: got 'xxxx"),
        ("arms/a@1", {}, "arms: got the name 'a@1'; takes letters, digits and _"),
        (
            "recipes/Plain",
            [],
            "recipes: got the name 'Plain'; takes lower-case letters, digits and _",
        ),
        ("filters/a", {"kind": "median"}, "filters.a.kind: got 'median'; takes one of gaussian,"),
        ("filters/a", {}, "filters.a.kind: missing; takes one of gaussian, unsharp, minimum"),
        ("filters/a", {"kind": "minimum"}, "filters.a.size_px: missing; takes one of 3, 5"),
        (
            "filters/gaussian/amount",
            1,
            "filters.gaussian.amount: no such key; known are kind, size",
        ),
        ("filters/gaussian/size_px", 4, "filters.gaussian.size_px: got 4; takes one of 3, 5, 7"),
        ("dataset/root", "/data/{x}", "dataset.root: got '/data/{x}', which holds braces"),
        (
            "dataset/root",
            "$NOWHERE_/x",
            "dataset.root: got '$NOWHERE_/x', which names the variable",
        ),
        (
            "dataset/train_csv",
            "/train.csv",
            "dataset.train_csv: got '/train.csv'; takes text, a path",
        ),
        (
            "jobs/memory_mb/train_gna",
            9,
            "jobs.memory_mb.train_gna: no such rule; did you mean train",
        ),
        ("draws", 0, "draws: got 0; takes a whole number from 1 to 1000"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_a_wrong_setting_is_named_with_what_it_got_and_takes(key, value, message):
    lines = refusal(key, value)
    assert len(lines) == 1, lines
    assert message in lines[0]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({1: 2}, "the configuration: got the key 1; keys are text"),
        ({"gan": {1: 2}}, "gan: got the key 1; keys are text"),
    ],
)
def test_a_key_that_is_no_text_is_named(config, line):
    with pytest.raises(ValueError, match=line):
        check(config)


def test_all_mistakes_are_told_at_once():
    """Those of the sections, of keys that do not fit each other, and between sections."""
    wrong = {
        "draws": 0,
        "dataset": {"seed": -1},
        "gan": {"start_resolution": 128},
        "bank": {"select": {"implausible": 0.8}},
        "classifier": {"arms": ["none", "cutmix"]},
    }
    with pytest.raises(ValueError, match="cannot be used") as caught:
        check(merged(REFERENCE, wrong))
    lines = [line.strip().split(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert sorted(lines) == [
        "bank.select.max_candidates",
        "classifier.arms[1]",
        "dataset.seed",
        "draws",
        "gan.start_resolution",
    ]


# Contradictions

CONTRADICTIONS = {
    "a batch that groups cannot share": (
        {"gan": {"batch_size": 6}},
        "gan.batch_size: got 6 at 8, 16, 32, 64 px; takes a multiple of gan.group_size (4)",
    ),
    "at one resolution": (
        {"gan": {"batch_size": {"default": 16, "32px": 10}}},
        "gan.batch_size: got 10 at 32 px; takes a multiple of gan.group_size (4)",
    ),
    "a batch that devices cannot share": (
        {"gan": {"devices": 3}},
        "gan.batch_size: got 16 at 8, 16, 32, 64 px: 4 group(s) of gan.group_size 4 cannot be "
        "shared by gan.devices 3; takes a multiple of 12",
    ),
    "fewer images than a group and two devices": (
        {"gan": {"batch_size": 2, "devices": 2}},
        "gan.batch_size: got 2 at 8, 16, 32, 64 px: 1 group(s)",
    ),
    "a resolution without a value": (
        {"gan": {"batch_size": {"8px": 16}}},
        "gan.batch_size: has no value for 16px, 32px, 64px; add 16px or default",
    ),
    "a resolution that is not trained at": (
        {"gan": {"fade_kimg": {"default": 1, "128px": 2}}},
        "gan.fade_kimg: names 128px, and the networks are trained at 8px, 16px, 32px, 64px",
    ),
    "a resolution that there is not": (
        {"gan": {"batch_size": {"default": 16, "65px": 8}}},
        "gan.batch_size.65px: no such resolution; did you mean 64px?",
    ),
    "a start above the end": (
        {"gan": {"start_resolution": 128}},
        "gan.start_resolution: got 128; takes at most gan.resolution (64)",
    ),
    "a start above the most": (
        {"gan": {"ada": {"start_p": 0.7, "max_p": 0.5}}},
        "gan.ada.start_p: got 0.7; takes at most gan.ada.max_p (0.5)",
    ),
    "more frozen blocks than there are": (
        {"gan": {"freeze_d": 5}},
        "gan.freeze_d: got 5; takes at most 4, the blocks of a critic of 64 px",
    ),
    "a cache below the GAN's images": (
        {"dataset": {"resolution": 32}},
        "dataset.resolution: got 32; takes a power of two not below gan.resolution (64)",
    ),
    "a bank without a size": (
        {"bank": {"ratio": None}},
        "bank.ratio: got null, and so is bank.number; one of them has to say a bank's size",
    ),
    "a finding without a size": (
        {"bank": {"ratio": {"Lung Lesion": 2.0}}},
        "bank.ratio: says no size for Pleural Other, Fracture; add them or default",
    ),
    "a misspelt finding": (
        {"bank": {"ratio": {"default": 1, "Lung Leison": 3}}},
        "bank.ratio.Lung Leison: no such finding of the study; did you mean Lung Lesion?",
    ),
    "a finding's name in paths": (
        {"bank": {"number": {"default": 1, "lung_lesion": 3}}},
        "bank.number.lung_lesion: no such finding of the study; did you mean Lung Lesion?",
    ),
    "and of an arm": (
        {"arms": {"gan": {"ratio": {"default": 1, "Lung-Lesion": 1}}}},
        "arms.gan.ratio.Lung-Lesion: no such finding of the study; did you mean Lung Lesion?",
    ),
    "and of a policy": (
        {"dataset": {"uncertain": {"Oedema": "ones"}}},
        "dataset.uncertain.Oedema: no such finding of the study; did you mean Edema?",
    ),
    "and of what is made rare": (
        {"dataset": {"thin": {"Oedema": 0.5}}},
        "dataset.thin.Oedema: no such finding of the study; did you mean Edema?",
    ),
    "a finding that is not the study's": (
        {
            "dataset": {
                "findings": ["Lung Lesion", "Pleural Other", "Fracture"],
                "uncertain": {"Edema": "zeros"},
            }
        },
        "dataset.uncertain.Edema: no such finding of the study; known are Lung Lesion,",
    ),
    "a target that is not predicted": (
        {"dataset": {"findings": ["Lung Lesion", "Fracture"]}},
        "dataset.target_findings[1]: got 'Pleural Other'; takes one of dataset.findings: Lung",
    ),
    "a planned finding that is not predicted": (
        {
            "dataset": {
                "findings": REFERENCE["dataset"]["findings"][1:],
                "planned_findings": ["No Finding"],
            }
        },
        "dataset.planned_findings[0]: got 'No Finding'; takes one of dataset.findings: Enlarged",
    ),
    "sizes two ways": (
        {"bank": {"ratio": [0.5, 2.0], "number": 30}},
        "bank.number: got 30 beside a list of ratios; takes null",
    ),
    "fewer candidates than a bank needs": (
        {"bank": {"select": {"implausible": 0.8, "max_candidates": 4}}},
        "bank.select.max_candidates: got 4 with implausible 0.8, which leaves 0.8 of a bank;",
    ),
    "more than the bank holds": (
        {"arms": {"gan": {"ratio": 3}}},
        "arms.gan.ratio: got 3 for Lung Lesion, Pleural Other, Fracture; takes at most what",
    ),
    "a ratio of an arm that adds nothing": (
        {"arms": {"standard": {"ratio": 1}}},
        "arms.standard.ratio: got a ratio, and the arm adds no positives",
    ),
    "a weight of what an arm does not add": (
        {"arms": {"standard": {"loss_weight": 0.5}}},
        "arms.standard.loss_weight: got 0.5, and the arm adds no images; give a recipe, oversample",
    ),
    "no real images and no synthetic negatives": (
        {"arms": {"gan": {"real": False}}},
        "arms.gan.real: got false without a recipe and negatives; synthetic images alone take both",
    ),
    "repeated real images without real ones": (
        {"arms": {"balanced_gan": {"real": False, "oversample": True}}},
        "arms.balanced_gan.oversample: got true beside real: false, and it needs real images",
    ),
    "the reserve's images without real ones": (
        {"arms": {"balanced_gan": {"real": False, "reserve": True}}},
        "arms.balanced_gan.reserve: got true beside real: false",
    ),
    "a phase on real images without real ones": (
        {"arms": {"pretrained_gan": {"real": False}}},
        "arms.pretrained_gan.pretrain: got true beside real: false",
    ),
    "images without labels, and no real ones with labels": (
        {"arms": {"balanced_gan": {"real": False, "unlabelled": True}}},
        "arms.balanced_gan.unlabelled: got true beside real: false",
    ),
    "a weight beside none": (
        {"arms": {"balanced_gan": {"real": False, "loss_weight": 2}}},
        "arms.balanced_gan.loss_weight: got 2 beside real: false, where all images count the same",
    ),
    "negatives in pairs without a recipe": (
        {"arms": {"standard": {"negatives": "paired"}}},
        "arms.standard.negatives: got paired without a recipe; name the arm's recipe too",
    ),
    "negatives in pairs with a GAN that has no base": (
        {"arms": {"standard": {"recipe": "conditional", "negatives": "paired"}}},
        "arms.standard.negatives: got paired with the recipe conditional, whose GAN does not start",
    ),
    "negatives of an unknown kind": (
        {"arms": {"standard": {"recipe": "plain", "negatives": "shared"}}},
        "arms.standard.negatives: got 'shared'; takes true or false, or paired (Adds as many",
    ),
    "a recipe that is called as pairs": (
        {"recipes": {"paired_plain": []}},
        "recipes.paired_plain: a name that begins so means negatives in pairs with plain; takes",
    ),
    "negatives without a recipe": (
        {"arms": {"standard": {"negatives": True}}},
        "arms.standard.negatives: got true without a recipe; name the arm's recipe too",
    ),
    "pretraining without a recipe": (
        {"arms": {"standard": {"pretrain": True}}},
        "arms.standard.pretrain: got true without a recipe; name the arm's recipe too",
    ),
    "an arm of reserve patients without any": (
        {"classifier": {"arms": ["none", "more_real"]}},
        "dataset.reserve_percent: got 0, and the arm more_real adds images of patients who are set",
    ),
    "no patients left for training": (
        {"dataset": {"test_percent": 40, "validation_percent": 15, "reserve_percent": 45}},
        "dataset.reserve_percent: got 45 beside 55 for testing and validation; takes less than 45",
    ),
    "a fold of more than there are": (
        {"dataset": {"test_percent": 30, "fold": 3}},
        "dataset.fold: got 3, and test sets of 30 percent are 3; takes 0 to 2",
    ),
    "a fold of a published split": (
        {"dataset": {"split": "published", "fold": 1}},
        "dataset.fold: got 1, and the test set is the published one; takes 0",
    ),
    "a baseline with reserve patients": (
        {"report": {"baseline": "more_real"}},
        "report.baseline: got 'more_real', which adds images",
    ),
    "an arm that is not declared": (
        {"classifier": {"arms": ["none", "cutmix"]}},
        "classifier.arms[1]: got 'cutmix'; takes one of arms: none,",
    ),
    "a headline arm that is not declared": (
        {"report": {"headline_arms": ["best_gan"]}},
        "report.headline_arms[0]: got 'best_gan'; takes one of arms: none,",
    ),
    "a headline arm without synthetic images": (
        {"report": {"headline_arms": ["standard"]}},
        "report.headline_arms[0]: got 'standard', which adds no synthetic images",
    ),
    "a baseline that is not declared": (
        {"report": {"baseline": "real"}},
        "report.baseline: got 'real'; takes one of arms: none,",
    ),
    "a baseline with synthetic images": (
        {"arms": {"none": {"recipe": "plain"}}},
        "report.baseline: got 'none', which adds images; takes an arm without recipe",
    ),
    "a baseline with repeated images": (
        {"report": {"baseline": "oversample"}},
        "report.baseline: got 'oversample', which adds images",
    ),
    "a control that repeats nothing": (
        {"report": {"control": "standard"}},
        "report.control: got 'standard'; takes an arm with oversample and without a recipe,",
    ),
    "a pair of an unknown arm": (
        {"report": {"pairs": {"gna": ["gan"]}}},
        "report.pairs.gna: got an arm 'gna'; takes one of arms:",
    ),
    "a pair with an unknown arm": (
        {"report": {"pairs": {"gan": ["oversample", "nnoe"]}}},
        "report.pairs.gan[1]: got 'nnoe'; takes one of arms:",
    ),
    "a pair of one arm": (
        {"report": {"pairs": {"gan": ["gan"]}}},
        "report.pairs.gan[0]: got 'gan' itself; takes another arm",
    ),
    "a control with synthetic images": (
        {"arms": {"oversample": {"recipe": "plain"}}},
        "report.control: got 'oversample'; takes an arm with oversample and without a recipe",
    ),
    "statistics of real images that an arm does not see": (
        {
            "arms": {"alone": {"real": False, "recipe": "plain", "negatives": True}},
            "classifier": {"arms": ["none", "alone"], "batch_norm": "real"},
        },
        "classifier.batch_norm: got real, and the arm alone sees no real images; takes shared, or",
    ),
    "an answer about synthetic images alone": (
        {"arms": {"gan": {"real": False, "negatives": True}}, "report": {"headline_arms": ["gan"]}},
        "report.headline_arms[0]: got 'gan', which adds synthetic images to no real ones; takes",
    ),
    "a recipe that there is not": (
        {"arms": {"gan": {"recipe": "sharpened"}}},
        "arms.gan.recipe: got 'sharpened'; takes one of recipes: plain, filtered, conditional",
    ),
    "transforms that there are not": (
        {"arms": {"standard": {"transforms": "strong"}}},
        "arms.standard.transforms: got 'strong'; takes one of transforms: standard",
    ),
    "views of unlabelled images that there are not": (
        {
            "classifier": {
                "arms": ["none", "pretrained_unlabelled"],
                "self_supervised": {"transforms": "strong"},
            }
        },
        "classifier.self_supervised.transforms: got 'strong'; takes one of transforms: standard",
    ),
    "a filter that there is not": (
        {"recipes": {"filtered": ["gaussian", "median"]}},
        "recipes.filtered: got the filter 'median'; takes names from filters: gaussian,",
    ),
    "a filter called none": (
        {"filters": {"none": {"kind": "minimum", "size_px": 3}}},
        "filters.none: this name means an image that went through no filter; takes another",
    ),
    "a recipe called base": ({"recipes": {"base": []}}, "recipes.base: this name is the GAN of"),
    "a recipe called conditional": (
        {"recipes": {"conditional": []}},
        "recipes.conditional: this name is the one GAN of all images with their labels",
    ),
    "a recipe called as a folder": (
        {"recipes": {"filter_leak": []}},
        "recipes.filter_leak: this name is the folder of measurements; takes another",
    ),
    "an arm called default": (
        {"arms": {"default": {}}},
        "arms.default: this name stands for all that is not named; takes another",
    ),
    "fractions with one name": (
        {"dataset": {"fractions": [33.3333, 33.33330000001]}},
        "dataset.fractions[1]: got 33.33330000001 beside 33.3333; both would be called 33.3333",
    ),
    "a fraction of too many digits": (
        {"dataset": {"fractions": [33.3333333]}},
        "dataset.fractions[0]: got 33.3333333, which paths would call 33.3333; takes six digits",
    ),
    "one file twice": (
        {"dataset": {"expert_csv": "train.csv"}},
        "dataset.expert_csv: got train.csv, which is train_csv too; takes another file, or null",
    ),
    "images that are too small for the network": (
        {"classifier": {"architecture": "inception_v3", "resolution": 64}},
        "classifier.resolution: got 64; inception_v3 takes 75 or more, or choose another arch",
    ),
    "images that no patches fill": (
        {"features": {"architecture": "vit_b_32", "resolution": 48}},
        "features.resolution: got 48; vit_b_32 takes a multiple of 32, or choose",
    ),
    "weights of ImageNet that there are not": (
        {"classifier": {"architecture": "small_resnet10", "weights": "imagenet"}},
        "classifier.weights: got imagenet; there are no such weights of small_resnet10",
    ),
    "more labels than rows": (
        {"phantom": {"prevalence": {"Edema": 0.97}}},
        "phantom.prevalence.Edema: Edema would be positive in 0.970 and uncertain in 0.058",
    ),
    "scaled to more labels than rows": (
        {"phantom": {"prevalence": {"scale": 1.9}}},
        "phantom.prevalence: Support Devices would be positive in 0.987",
    ),
    "ages that do not rise": (
        {"report": {"statistics": {"age_bands": [60, 40]}}},
        "report.statistics.age_bands[1]: got 40 after 60; takes rising ages",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_keys_that_do_not_fit_each_other_are_refused(case):
    changes, message = CONTRADICTIONS[case]
    with pytest.raises(ValueError, match="cannot be used") as caught:
        check(merged(STUDY, changes))
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert any(line.startswith(message) for line in lines), lines
    assert len(lines) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"gan": {"batch_size": 8, "devices": 2}},
        {"gan": {"batch_size": {"default": 16, "64px": 8}, "group_size": 8}},
        {"bank": {"ratio": None, "number": {"default": 30, "Fracture": 20}}},
        {"bank": {"ratio": [0.5, 2.0]}},
        {"bank": {"number": 30}},
        {"bank": {"ratio": {"Lung Lesion": 1, "Pleural Other": 2, "Fracture": 3}}},
        {"dataset": {"fractions": [33.3333, 33.3334]}},
        {"dataset": {"uncertain": "ignore"}},
        {"dataset": {"root": "~/data/"}},
        {"arms": {"mine": {"recipe": "plain", "oversample": True, "ratio": 0.5}}},
        {"arms": {"mine": {"recipe": "plain", "negatives": True, "unlabelled": True}}},
        {"classifier": {"arms": ["none"], "self_supervised": {"transforms": "strong"}}},
        {"classifier": {"arms": ["standard"]}, "report": {"baseline": "standard", "control": None}},
        {"report": {"statistics": {"age_bands": []}}},
        {"recipes": {"plain": []}, "filters": {"nones": {"kind": "minimum", "size_px": 3}}},
        {"container": "docker://example/{x}"},
        {"classifier": {"architecture": "inception_v3", "resolution": 75}},
        {"features": {"architecture": "vit_b_32", "resolution": 64}},
    ],
    ids=str,
)
def test_what_fits_is_accepted(changes):
    check(merged(STUDY, changes))


# Doubts


def test_the_reference_gives_no_doubt():
    assert list(doubts(Configuration())) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"classifier": {"resolution": 96}},
            "classifier.resolution (96) is above gan.resolution (64)",
        ),
        ({"classifier": {"arms": ["oversample", "gan"]}}, "leaves out the baseline none"),
        ({"classifier": {"arms": ["none", "gan"]}}, "leaves out the control oversample"),
        ({"gan": {"base_images": "training"}}, "classifier.arms has no arm with unlabelled: true"),
        (
            {"report": {"pairs": {"gan": ["standard", "oversample"]}}},
            "report.pairs compares standard, which classifier.arms leaves out",
        ),
    ],
    ids=str,
)
def test_what_was_hardly_meant_is_said(changes, words):
    (doubt,) = doubts(check(merged(STUDY, changes)))
    assert words in doubt


def test_unlabelled_images_with_a_control_are_no_doubt():
    arms = ["none", "oversample", "gan", "pretrained_unlabelled"]
    changes = {"gan": {"base_images": "training"}, "classifier": {"arms": arms}}
    assert list(doubts(check(merged(STUDY, changes)))) == []


# Values


def test_paths_of_one_folder_are_one_setting(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("DATA", "/home/someone/data")
    written = [
        "/home/someone/data",
        "/home/someone/data/",
        "~/data",
        "$HOME/data",
        "${DATA}",
        "$DATA/.",
    ]
    roots = {check(merged(REFERENCE, {"dataset": {"root": root}})).dataset.root for root in written}
    assert roots == {"/home/someone/data"}


def test_a_value_by_finding_has_one_lookup():
    by_finding = ByFinding(1.0, {"Fracture": 2.0})
    assert by_finding.get("Fracture") == 2.0
    assert by_finding.get("Edema") == 1.0
    assert ByFinding(None, {"Fracture": 2.0}).get("Edema") is None
    assert ByFinding(3.0).plain() == 3.0


def test_a_value_by_resolution_has_one_lookup():
    by_resolution = ByResolution(16, {"32px": 8})
    assert [by_resolution.at(side) for side in (16, 32)] == [16, 8]


def test_a_whole_number_is_a_number_and_nothing_else_is_converted():
    gan = check(merged(REFERENCE, {"gan": {"drift": 1, "fade_kimg": 2}})).gan
    assert gan.plain()["drift"] == 1.0
    assert isinstance(gan.drift, float)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Configuration().gan.resolution = 32


def test_plain_values_make_the_same_section_again():
    configuration = Configuration()
    for name, field in Configuration.model_fields.items():
        if is_section(field.annotation):
            section = getattr(configuration, name)
            assert type(section)(**section.plain()) == section
            assert section.with_effect().keys().isdisjoint(section.without_effect())
            assert section.with_effect() | section.without_effect() == section.plain()
            params = section.with_effect(), SimpleNamespace(**section.without_effect())
            assert type(section).of(*params) == section
    with pytest.raises(ValueError, match="colour"):
        Configuration().gan.of({"colour": 1})


def test_what_changes_no_result_is_marked():
    marked = {
        key
        for key, field in FIELDS.items()
        if any(isinstance(mark, NoEffect) for mark in field.metadata)
    }
    names = {
        "device",
        "follow_links",
        "pixel_memory_mib",
        "resume_interval_s",
        "tensorboard",
        "weights_dir",
    }
    assert {key.split("/")[-1] for key in marked} == names
    assert len(marked) == 15


def test_architectures_are_torchvisions():
    import torchvision

    assert tuple(torchvision.models.list_models(module=torchvision.models)) == TORCHVISION


def test_a_part_of_a_section_has_the_keys_of_its_base_and_no_others():
    dataset = DatasetSettings(resolution=128, max_rejected=0.5, thin={"Fracture": 0.5})
    part = dataset.part(PixelSettings)
    assert type(part) is PixelSettings
    assert part.plain() == {
        "follow_links": False,
        "max_rejected": 0.5,
        "resolution": 128,
        "square": "crop",
    }
