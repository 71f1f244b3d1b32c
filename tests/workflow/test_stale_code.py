"""A changed line of a library module re-runs the rules whose scripts reach it, and no other."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from rarecxr.core.code_digest import code_digest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"

LIGHT = {
    "make_phantoms",
    "index_images",
    "label_images",
    "split_patients",
    "draw_patients",
    "check_labels",
    "decode_images",
    "cache_pixels",
    "make_training_set",
    "measure_filters",
    "check_leakage",
    "make_validation_set",
    "evaluate",
    "describe_bank",
    "make_report",
}
TORCH = {
    "train_gan",
    "make_bank",
    "measure_bank",
    "pretrain_classifier",
    "train_classifier",
    "train_features",
    "explain_classifiers",
    "predict_external",
}
ALL = LIGHT | TORCH
GAN = {"train_gan", "make_bank"}
SUPERVISED = {"train_classifier", "train_features"}
CLASSIFIERS = {*SUPERVISED, "pretrain_classifier"}
# Whatever builds the classifier's network and gives it images.
NETWORKS = {*CLASSIFIERS, "predict_external"}
MEASURED = {"train_gan", "measure_bank"}
# Whatever looks at images through a network or a feature space.
SEEING = {"make_bank", *MEASURED}
EXPLAINED = {"explain_classifiers"}
IMAGE_SETS = {"make_training_set", "make_validation_set"}
CACHE = {"decode_images", "cache_pixels"}
SHEETS = {"describe_bank", "make_report"}

# Which rules may run when one module changes; a module that is not named falls under its folder.
REACH = {
    "rarecxr.core.code_digest": set(),
    "rarecxr.statistics.folds": set(),
    "rarecxr.study.architectures": NETWORKS,
    "rarecxr.study.check": set(),
    "rarecxr.study.configuration.": set(),
    "rarecxr.study.configuration.bank": {"make_bank", "measure_bank"},
    "rarecxr.study.configuration.classifier": NETWORKS,
    "rarecxr.study.configuration.filters": IMAGE_SETS,
    "rarecxr.study.configuration.gan": {"train_gan"},
    "rarecxr.study.configuration.image_sets": IMAGE_SETS,
    "rarecxr.study.configuration.phantom": {"make_phantoms"},
    "rarecxr.study.configuration.pixels": CACHE,
    "rarecxr.study.configuration.training": CLASSIFIERS,
    "rarecxr.study.configuration_file": set(),
    "rarecxr.study.documents": set(),
    "rarecxr.study.external_index": set(),
    "rarecxr.study.given": set(),
    "rarecxr.study.headline": {"make_report"},
    "rarecxr.study.paths": set(),
    "rarecxr.study.plan": set(),
    "rarecxr.study.place": {"make_training_set", *GAN},
    "rarecxr.study.recipes": {
        "check_leakage",
        *CACHE,
        *IMAGE_SETS,
        *SHEETS,
        *TORCH,
        "measure_filters",
    },
    "rarecxr.study.schema": set(),
    "rarecxr.study.configuration.report": {"make_report"},
    "rarecxr.study.configuration.statistics": {"evaluate", "make_report"},
    "rarecxr.study.source": set(),
    "rarecxr.study.sizes": {"make_bank", "measure_bank", *SUPERVISED},
    "rarecxr.study.values": {
        "make_phantoms",
        *CACHE,
        *IMAGE_SETS,
        *(TORCH - EXPLAINED),
        "evaluate",
        "make_report",
    },
    "rarecxr.core.devices": TORCH,
    "rarecxr.study.arms": set(),
    "rarecxr.core.files": ALL,
    "rarecxr.core.gpu_locks": TORCH,
    "rarecxr.core.job_log": ALL,
    "rarecxr.core.missing_packages": ALL,
    "rarecxr.core.nvidia": TORCH,
    "rarecxr.core.processor": TORCH,
    "rarecxr.core.provenance": {
        *CACHE,
        "evaluate",
        "measure_filters",
        "check_leakage",
        "describe_bank",
        "make_report",
        *IMAGE_SETS,
        *TORCH,
    },
    "rarecxr.core.disk_usage": set(),
    "rarecxr.cost.": set(),
    "rarecxr.progress.": set(),
    "rarecxr.doctor": set(),
    "rarecxr.core.locks": TORCH,
    "rarecxr.core.cuda_graphs": {"train_gan", *SUPERVISED},
    "rarecxr.core.losses": {"train_gan", *SUPERVISED},
    "rarecxr.core.optimizers": {"train_gan", *CLASSIFIERS},
    "rarecxr.core.order": {
        "measure_filters",
        "make_bank",
        "measure_bank",
        "train_gan",
        *EXPLAINED,
        *SHEETS,
        *SUPERVISED,
    },
    "rarecxr.core.resume": {"train_gan", *CLASSIFIERS},
    "rarecxr.core.json_file": {
        "make_bank",
        "measure_bank",
        "measure_filters",
        "describe_bank",
        "make_report",
        "check_leakage",
        "train_gan",
        *EXPLAINED,
        *NETWORKS,
    },
    "rarecxr.core.tables": {
        "label_images",
        "split_patients",
        "draw_patients",
        "check_labels",
        *CACHE,
        *IMAGE_SETS,
        *NETWORKS,
        "check_leakage",
        "evaluate",
        "make_report",
        *EXPLAINED,
    },
    "rarecxr.core.tensors": {"check_leakage", *TORCH},
    "rarecxr.core.warp": {"train_gan", *CLASSIFIERS},
    "rarecxr.core.hdf5": {
        *CACHE,
        *IMAGE_SETS,
        *SHEETS,
        *TORCH,
        "measure_filters",
        "check_leakage",
    },
    "rarecxr.data.resize": {*CACHE, *IMAGE_SETS, *NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.bank.bank_file": {
        "make_bank",
        "measure_bank",
        "measure_filters",
        "describe_bank",
        "make_report",
        "check_leakage",
        *EXPLAINED,
        *SUPERVISED,
    },
    "rarecxr.data.pixel_cache": CACHE,
    "rarecxr.data.chexpert": {"index_images"},
    "rarecxr.data.formats.": {"index_images"},
    "rarecxr.data.image_index": {"index_images"},
    "rarecxr.data.index_columns": {"index_images", "label_images", "check_labels", "evaluate"},
    "rarecxr.data.csv_file": {"index_images", "label_images", "check_labels"},
    "rarecxr.data.image_rows": {"index_images", "label_images", "check_labels"},
    "rarecxr.data.text_table": {"index_images"},
    "rarecxr.data.image_folder": CACHE,
    "rarecxr.data.decode": CACHE,
    "rarecxr.data.dicom": CACHE,
    "rarecxr.data.image_bytes": CACHE,
    "rarecxr.data.png16": CACHE,
    "rarecxr.data.filters": {"make_training_set", "measure_filters"},
    "rarecxr.study.findings": {
        "make_phantoms",
        "index_images",
        "label_images",
        "check_labels",
        *GAN,
        "measure_bank",
        "measure_filters",
        "describe_bank",
        "check_leakage",
        "make_report",
        *EXPLAINED,
        *IMAGE_SETS,
        *SUPERVISED,
    },
    "rarecxr.data.fingerprint": CACHE,
    "rarecxr.data.labels": {"label_images", "check_labels"},
    "rarecxr.data.label_policies": {"label_images", "check_labels"},
    "rarecxr.data.label_names": {"label_images", "check_labels"},
    "rarecxr.data.section_keys": {"index_images", "label_images", "check_labels", *CACHE},
    "rarecxr.data.label_check": {"check_labels"},
    "rarecxr.data.label_precheck": set(),
    "rarecxr.data.image_checks": CACHE,
    "rarecxr.data.image_notes": {*CACHE, "check_leakage", "make_report"},
    "rarecxr.data.image_file": {
        *CACHE,
        *IMAGE_SETS,
        *SHEETS,
        *TORCH,
        "measure_filters",
        "check_leakage",
    },
    "rarecxr.data.file_digests": {"check_leakage", "predict_external"},
    "rarecxr.data.finding_images": IMAGE_SETS,
    "rarecxr.data.split": {
        "split_patients",
        "check_labels",
        "draw_patients",
        "make_training_set",
        "check_leakage",
        "evaluate",
        *SUPERVISED,
    },
    "rarecxr.data.study_files": {"check_leakage", "evaluate"},
    "rarecxr.data.training_set": {"make_training_set"},
    "rarecxr.data.validation_set": {"make_validation_set"},
    "rarecxr.phantoms.": {"make_phantoms"},
    "rarecxr.gan.": {"train_gan"},
    "rarecxr.gan.checkpoint": GAN,
    "rarecxr.gan.fused": GAN,
    "rarecxr.gan.kernels": GAN,
    "rarecxr.gan.labels": GAN,
    "rarecxr.gan.layers": GAN,
    "rarecxr.gan.networks": GAN,
    "rarecxr.gan.pixels": GAN,
    "rarecxr.gan.sample_sheet": {"train_gan", "make_report"},
    "rarecxr.gan.second_gradients": GAN,
    "rarecxr.study.seeds": {*GAN, *CLASSIFIERS},
    "rarecxr.bank.generate": {"make_bank"},
    "rarecxr.leakage": {"check_leakage"},
    "rarecxr.external_leaks": {"check_leakage"},
    "rarecxr.looks": {"check_leakage"},
    "rarecxr.manifest": set(),
    "rarecxr.mixtures": {"check_leakage"},
    "rarecxr.quality.": MEASURED,
    "rarecxr.quality.alignment": {"measure_bank"},
    "rarecxr.quality.bank_quality": {"measure_bank"},
    "rarecxr.bank.pairs": {"make_bank"},
    "rarecxr.bank.selection": {"make_bank"},
    "rarecxr.quality.feature_spaces": SEEING,
    "rarecxr.quality.filter_leak": {"measure_filters"},
    "rarecxr.quality.metrics": {"measure_filters", *MEASURED},
    "rarecxr.quality.bank_faults": {"measure_bank"},
    "rarecxr.quality.near_copies": SEEING,
    "rarecxr.quality.visible_finding": {"measure_bank"},
    "rarecxr.bank.datasheet": {"describe_bank"},
    "rarecxr.bank.quality_warnings": set(),
    "rarecxr.bank.sample_sheet": SHEETS,
    "rarecxr.classifier.": SUPERVISED,
    "rarecxr.classifier.external": {"predict_external"},
    "rarecxr.classifier.feature_network": {"train_features"},
    "rarecxr.classifier.images": {*NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.classifier.networks": {*NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.classifier.small_resnet": {*NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.classifier.small_maps": {*NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.classifier.prediction": {*SUPERVISED, *SEEING, *EXPLAINED, "predict_external"},
    "rarecxr.classifier.plausibility": {"make_bank", "measure_bank"},
    "rarecxr.classifier.pretrained_file": CLASSIFIERS,
    "rarecxr.classifier.pretraining": {"pretrain_classifier"},
    "rarecxr.classifier.schedule": CLASSIFIERS,
    "rarecxr.classifier.self_supervised": {"pretrain_classifier"},
    "rarecxr.classifier.start": NETWORKS,
    "rarecxr.classifier.transforms": CLASSIFIERS,
    "rarecxr.classifier.views": {"pretrain_classifier"},
    "rarecxr.classifier.weights": {*NETWORKS, *SEEING, *EXPLAINED},
    "rarecxr.classifier.prediction_file": {*SUPERVISED, *EXPLAINED, "evaluate", "predict_external"},
    "rarecxr.classifier.explanation": EXPLAINED,
    "rarecxr.classifier.map_file": {*EXPLAINED, "make_report"},
    "rarecxr.classifier.occlusion": EXPLAINED,
    "rarecxr.classifier.windows": EXPLAINED,
    "rarecxr.statistics.": {"evaluate"},
    "rarecxr.statistics.test_sets": {"evaluate", "make_report"},
    "rarecxr.statistics.comparisons": {"evaluate", "make_report"},
    "rarecxr.report.": {"make_report"},
}


def reach(module):
    """The longest name or beginning of a name in the table."""
    fitting = [
        name for name in REACH if module == name or name[-1] in "._" and module.startswith(name)
    ]
    assert fitting, f"{module}: say in this table which rules it may re-run"
    return REACH[max(fitting, key=len)]


def library():
    paths = sorted((SCRIPTS / "rarecxr").rglob("*.py"))
    return [path for path in paths if path.name != "__init__.py"]


def name_of(path):
    return ".".join(path.relative_to(SCRIPTS).with_suffix("").parts)


def change(path):
    """Change one value in a file: nothing that comments or layout could be."""
    path.write_text(path.read_text(encoding="utf-8") + "\n_CHANGED = 1\n", encoding="utf-8")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return shutil.copytree(
        SCRIPTS,
        tmp_path_factory.mktemp("workflow") / "scripts",
        ignore=shutil.ignore_patterns("__pycache__"),
    )


@pytest.mark.parametrize("path", library(), ids=name_of)
def test_a_changed_module_changes_the_code_param_of_the_rules_that_reach_it(scripts, path):
    before = {rule: code_digest(scripts / f"{rule}.py") for rule in ALL}
    copy = scripts / path.relative_to(SCRIPTS)
    text = copy.read_text(encoding="utf-8")
    change(copy)
    after = {rule: code_digest(scripts / f"{rule}.py") for rule in ALL}
    copy.write_text(text, encoding="utf-8")
    assert {rule for rule in ALL if before[rule] != after[rule]} == reach(name_of(path))


BELOW = {
    "evaluate": {"make_report"},
    "explain_classifiers": {"make_report"},
    "check_leakage": {"evaluate", "make_report"},
    "pretrain_classifier": {"train_classifier", "check_leakage"},
    "train_classifier": {"check_leakage", "evaluate", "explain_classifiers", "predict_external"},
    "predict_external": {"check_leakage", "evaluate"},
    "index_external": {"decode_external", "cache_external"},
    "decode_external": {"cache_external"},
    "cache_external": {"label_external", "predict_external", "check_leakage", "evaluate"},
    "label_external": {"check_leakage", "evaluate"},
    "make_bank": {
        "measure_bank",
        "measure_filters",
        "describe_bank",
        "train_classifier",
        "explain_classifiers",
    },
    "measure_bank": {"describe_bank", "make_report"},
    "describe_bank": {"make_report"},
    "measure_filters": {"make_report"},
    "train_gan": {"make_bank", "make_report"},
    "train_features": {"train_gan", "measure_bank"},
    "make_training_set": {
        "train_gan",
        "make_bank",
        "measure_bank",
        "measure_filters",
        "describe_bank",
    },
    "make_validation_set": {"train_gan", "measure_bank", "check_leakage"},
    "decode_images": {"cache_pixels"},
    "cache_pixels": {*IMAGE_SETS, *CLASSIFIERS, *EXPLAINED, "evaluate"},
    "draw_patients": {"make_training_set", *SUPERVISED, "evaluate"},
    "split_patients": {"draw_patients", "check_labels", *IMAGE_SETS, *CLASSIFIERS, "evaluate"},
    "label_images": {*IMAGE_SETS, *SUPERVISED, *EXPLAINED, "evaluate"},
    "index_images": {"label_images", "split_patients", "draw_patients", "check_labels", *CACHE},
}


# Rules that do for an external test set, with the same script, what others do for the study's own.
TWINS = {
    "index_images": "index_external",
    "label_images": "label_external",
    "decode_images": "decode_external",
    "cache_pixels": "cache_external",
}


def downstream(rules):
    """The rules and all that depend on them; phantoms are not made where there is real data."""
    found = set()
    pending = {*rules, *(TWINS[rule] for rule in rules if rule in TWINS)} - {"make_phantoms"}
    while pending:
        rule = pending.pop()
        found.add(rule)
        pending |= BELOW.get(rule, set()) - found
    return found


@pytest.mark.parametrize(
    "module",
    [
        "study.check",
        "phantoms.dataset",
        "data.labels",
        "bank.generate",
        "report.page",
        "quality.metrics",
    ],
)
def test_snakemake_re_runs_what_depends_on_a_changed_module(done, module):
    change(done.folder / f"workflow/scripts/rarecxr/{module.replace('.', '/')}.py")
    below = downstream(reach(f"rarecxr.{module}"))
    # The tiny study has no external test set.
    assert done.stale_rules() == {rule for rule in below if "external" not in rule}


def test_a_reworded_module_re_runs_nothing(done):
    for path in (done.folder / "workflow/scripts/rarecxr").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text), clean=False)
        assert docstring, path
        text = re.sub(r'\A"""', '"""In other words: ', text)
        path.write_text(f"{text}\n# A comment.\n", encoding="utf-8")
    assert done.stale_jobs() == set()
