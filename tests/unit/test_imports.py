"""No script loads a heavy package that it does not use: seconds of every job, and of every user."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"

# Import names of what takes a tenth of a second or more to load, and which scripts use them.
HEAVY = {
    "torch": {
        "check_leakage",
        "cost",
        "make_bank",
        "measure_bank",
        "pretrain_classifier",
        "train_classifier",
        "train_features",
        "train_gan",
    },
    "torchvision": {
        "cost",
        "pretrain_classifier",
        "train_classifier",
        "train_features",
        "train_gan",
    },
    # Nearest neighbours, in the measures of GANs and of near-copies.
    "sklearn": {"evaluate", "make_bank", "measure_bank", "measure_filters", "train_gan"},
    "matplotlib": {"make_report"},
    # By itself, or because scikit-learn loads it.
    "scipy.stats": {"evaluate", "make_bank", "measure_bank", "measure_filters", "train_gan"},
    "tensorboard": set(),
    "jinja2": {"make_report"},
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
