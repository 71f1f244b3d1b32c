"""The lock file, the project's ranges and the conda environments agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from lean import make_place, specifiers
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# Import names that differ from PyPI's.
IMPORT_NAMES = {
    "PIL": "pillow",
    "pydantic_core": "pydantic",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Only the main process uses these, beside Snakemake, which brings them along.
MAIN_PROCESS = {"pyyaml"}
# Used where PyTorch for CUDA has brought it along, and done without elsewhere, by these modules.
OPTIONAL = {"triton"}
NEEDS_OPTIONAL = {"rarecxr.gan.kernels"}


def locked():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {
        name: Version(version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_conda_range_holds_the_locked_version(environment):
    versions = locked()
    for name, versions_allowed in specifiers(environment).items():
        version = Version("3.11") if name == "python" else versions[name]
        assert version in versions_allowed, f"{environment.name}: {name} {version}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_conda_range_has_both_ends(environment):
    for name, versions_allowed in specifiers(environment).items():
        operators = {part.operator for part in versions_allowed}
        assert operators == {"=="} or {">=", "<"} <= operators, f"{environment.name}: {name}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_only_conda_forge_is_asked(environment):
    assert yaml.safe_load(environment.read_text(encoding="utf-8"))["channels"] == ["conda-forge"]


def test_the_lock_holds_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    versions = locked()
    for line in wanted:
        requirement = Requirement(line)
        assert versions[requirement.name] in requirement.specifier, line


def test_the_lock_pins_every_package_by_digest_and_names_no_registry():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", text, flags=re.M)[1:]
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"https?://|file:|--index|--find-links", text)


def files_of_rules_in(environment):
    """Name and file of the modules of one environment's rules, the scripts included."""
    from rarecxr.core.code_digest import _closure

    found = {}
    for rules in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", rules.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if f"envs/{environment.name}" in rule:
                for script in re.findall(r'"\.\./scripts/(\w+\.py)"', rule):
                    closure = _closure(ROOT / "workflow/scripts" / script)
                    found[script] = closure.pop("__main__")
                    found.update(closure)
    assert found
    return found


def imported_by_rules_in(environment):
    """Distributions that the scripts of one environment's rules import, through all modules."""
    names = set()
    for path in files_of_rules_in(environment).values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    project = {"rarecxr"} | {path.stem for path in (ROOT / "workflow/scripts").iterdir()}
    return {IMPORT_NAMES.get(name, name) for name in names - project - sys.stdlib_module_names}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_holds_all_that_its_rules_import(environment):
    missing = (
        imported_by_rules_in(environment) - set(specifiers(environment)) - MAIN_PROCESS - OPTIONAL
    )
    assert not missing


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_is_complete_by_itself(environment, tmp_path):
    """All modules of its rules are imported where there is nothing but what it names.

    A `script:` sees Snakemake's own packages too, which could hide a gap.
    """
    place = tmp_path / "packages"
    make_place(environment, place)
    assert not (place / "snakemake").exists()
    modules = {name for name in files_of_rules_in(environment) if not name.endswith(".py")}
    modules -= NEEDS_OPTIONAL
    code = f"""
import importlib, sys
sys.path += {[str(ROOT / "workflow/scripts"), str(place)]!r}
for name in {sorted(modules)!r}:
    importlib.import_module(name)
"""
    # -I and -S: neither the environment's variables nor the installed packages count.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
