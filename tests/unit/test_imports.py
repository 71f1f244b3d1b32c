"""No script loads a heavy package that it does not use: seconds of every job, and of every user."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"

# Scripts that train networks, that know the classifier's, that run any, that handle images, and
# that handle tables.
TRAININGS = {"pretrain_classifier", "train_classifier", "train_features", "train_gan"}
KNOWING = TRAININGS | {"explain_classifiers", "predict_external"}
NETWORKS = KNOWING | {"check_leakage", "make_bank", "measure_bank"}
IMAGES = {
    "cache_pixels",
    "decode_images",
    "make_training_set",
    "make_validation_set",
    "measure_filters",
}
TABLES = {"check_labels", "draw_patients", "index_images", "label_images", "split_patients"}

# Import names of what takes a tenth of a second or more to load, and which scripts use them.
HEAVY = {
    "torch": {"cost", *NETWORKS},
    "captum": {"explain_classifiers"},
    # Where a network of its own is built, or its weights are looked for.
    "torchvision": set(),
    # Nearest neighbours, in the measures of GANs and of near-copies.
    "sklearn": {"evaluate", "make_bank", "measure_bank", "measure_filters", "train_gan"},
    # captum loads it, too.
    "matplotlib": {"explain_classifiers", "make_report"},
    # By itself, or because scikit-learn loads it.
    "scipy.stats": {
        *("evaluate", "make_bank", "measure_bank", "measure_filters", "pool_folds", "train_gan"),
    },
    "tensorboard": set(),
    "jinja2": {"make_report"},
    "h5py": NETWORKS | IMAGES | {"cost", "describe_bank", "export_bank", "make_report"},
    "PIL": {
        *("cache_pixels", "cost", "decode_images", "explain_classifiers"),
        *("make_phantoms", "make_report", "train_gan"),
    },
    "pandas": NETWORKS | IMAGES | TABLES | {"cost", "evaluate", "make_report", "pool_folds"},
    "pyarrow": NETWORKS | IMAGES | TABLES | {"cost", "evaluate", "make_report", "pool_folds"},
    "pydantic": NETWORKS
    | IMAGES
    | {"cost", "doctor", "evaluate", "make_phantoms", "make_report", "progress", "write_config"},
}
# They need nothing but Python: whoever brings Snakemake alone can run them.
PLAIN = {"check_study", "clean_states", "disk_usage"}
NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py"))


def imports_of(script):
    """The import lines of a script, without what Snakemake gives it."""
    text = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if re.match(r"(from|import) ", line))


def run(code, *options):
    done = subprocess.run(
        [
            sys.executable,
            *options,
            "-c",
            f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n{code}",
        ],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", NAMES)
def test_a_script_loads_no_heavy_package_that_it_does_not_use(script):
    loaded = set(run(f"{imports_of(script)}\nprint(*sys.modules)").split())
    too_many = {name for name in HEAVY if name in loaded and script not in HEAVY[name]}
    assert not too_many


@pytest.mark.parametrize("script", sorted(PLAIN))
def test_a_plain_script_needs_python_alone(script):
    run(imports_of(script), "-I", "-S")
