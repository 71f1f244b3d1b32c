"""The container's definitions, the set-up and the lock file agree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
DEFINITIONS = ["Dockerfile", "rarecxr.def"]


@pytest.fixture(params=DEFINITIONS)
def definition(request):
    return (ROOT / "container" / request.param).read_text(encoding="utf-8")


def test_the_installer_is_that_of_the_set_up(definition):
    assert re.findall(r"uv==\S+", definition) == re.findall(r"^uv==\S+", LOCK, re.M)


def test_packages_come_from_the_lock_file_by_digest(definition):
    assert re.search(r"uv pip sync .*--require-hashes /opt/rarecxr/requirements.lock", definition)
    assert "requirements.lock /opt/rarecxr/requirements.lock" in definition
    assert not re.search(r"pip install (?!--no-cache-dir uv==)", definition)


def test_the_base_has_a_python_that_the_project_runs_on(definition):
    minor = int(re.search(r"(?i)^from:? python:3\.(\d+)-slim-bookworm$", definition, re.M)[1])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    low, above = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project).groups()
    assert int(low) <= minor < int(above)


def test_both_definitions_do_the_same():
    steps = [
        set(
            re.findall(
                r"python -m pip .*?uv==\S+|uv pip sync .*",
                (ROOT / "container" / name).read_text(encoding="utf-8"),
            )
        )
        for name in DEFINITIONS
    ]
    assert steps[0] == steps[1]
