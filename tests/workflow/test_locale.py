"""The workflow starts whatever encoding the machine's locale has: its files are UTF-8."""

import shutil
import subprocess
import sys

import pytest
from house import make_real_images


def latin(folder):
    """Plain ASCII, on any machine: the C locale without Python's own way around it."""
    return {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


def locale_of(name, charmap):
    """A locale made for the test, where the system has the tool and its sources."""

    def made(folder):
        if shutil.which("localedef") is None:
            pytest.skip("no localedef here")
        done = subprocess.run(
            ["localedef", "-i", name, "-f", charmap, str(folder / f"{name}.{charmap}")],
            capture_output=True,
        )
        if done.returncode:
            pytest.skip(f"localedef cannot make {name}.{charmap} here")
        return {"LC_ALL": f"{name}.{charmap}", "LOCPATH": str(folder)}

    return made


# A run that makes a table, so that it is shown.
SHOWN = """
include: "Snakefile"


onstart:
    TABLE.parent.mkdir(parents=True)
    TABLE.write_text("from 0.1 – 0.2, 병변\\n", encoding="utf-8")
"""


@pytest.mark.parametrize(
    "environment",
    [latin, locale_of("ko_KR", "EUC-KR"), locale_of("en_US", "ISO-8859-1")],
    ids=["ASCII", "EUC-KR", "ISO-8859-1"],
)
def test_a_job_runs_and_its_messages_are_shown(house, tmp_path, monkeypatch, environment):
    make_real_images(house)
    house.edit("study.yaml", "dataset:\n", 'dataset:\n  name: "흉부 X선 – thorax"\n')
    for name, value in {"PYTHONUTF8": "0", **environment(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    encoding = subprocess.check_output(
        [sys.executable, "-c", "import locale; print(locale.getencoding())"], encoding="ascii"
    )
    assert "UTF" not in encoding.upper(), f"{encoding}: the locale is not in force"
    (house.folder / "shown.smk").write_text(SHOWN, encoding="utf-8")
    options = ["--snakefile", "shown.smk", "--until", "index_images"]
    output = house.snakemake(*options, encoding=encoding.strip())
    assert (house.folder / "results/tiny/dataset/images.parquet").is_file()
    # What the console cannot show comes as its code.
    shown = "from 0.1 – 0.2, 병변".encode(encoding.strip(), "backslashreplace")
    assert shown.decode(encoding.strip()) in output
