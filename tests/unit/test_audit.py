"""What is made of pip-audit's findings."""

import json
import subprocess
import sys
from pathlib import Path

AUDIT = Path(__file__).parents[1] / "audit.py"


def audited(text):
    done = subprocess.run(
        [sys.executable, AUDIT], input=text, capture_output=True, encoding="utf-8"
    )
    return done.returncode, done.stdout


def report(*vulnerabilities):
    fine = {"name": "small", "version": "1.0", "vulns": []}
    weak = {"name": "weak", "version": "2.0", "vulns": list(vulnerabilities)}
    return json.dumps({"dependencies": [fine, weak, {"name": "own", "skip_reason": "not there"}]})


def test_a_known_vulnerability_ends_with_an_error_and_says_what_mends_it():
    status, said = audited(report({"id": "CVE-1", "fix_versions": ["2.1"]}))
    assert status == 1
    assert "weak 2.0: CVE-1, mended in 2.1" in said


def test_without_one_it_says_how_many_were_looked_up():
    status, said = audited(report())
    assert status == 0
    assert said == "audit: 2 of 3 packages looked up, 0 known vulnerabilities\n"


def test_what_was_not_looked_up_is_not_called_safe():
    for text in (
        "",
        "no network",
        json.dumps({"dependencies": [{"name": "a", "skip_reason": "b"}]}),
    ):
        status, said = audited(text)
        assert status == 0
        assert said.startswith("AUDIT SKIPPED")
