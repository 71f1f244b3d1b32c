"""Places to import from that hold some of the installed packages and nothing else."""

import json
import sys
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# Names on conda-forge that differ from PyPI's.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def specifiers(environment):
    """PyPI name and range of every package of a conda environment, python included."""
    found = {}
    for line in yaml.safe_load(Path(environment).read_text(encoding="utf-8"))["dependencies"]:
        name, _, versions = line.partition(" ")
        # conda writes `2.11.*` for what PyPI writes as `==2.11.*`.
        versions = f"=={versions}" if versions[0].isdigit() else versions
        found[CONDA_NAMES.get(name, name)] = SpecifierSet(versions)
    return found


def with_dependencies(names):
    """The installed distributions of these names and of all that they ask for."""
    found, pending = {}, list(names)
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # For another system or Python than this one.
            continue
        for line in found[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return found.values()


def make_place(environment, folder):
    """A folder with links to the packages of a conda environment and to what they ask for."""
    folder.mkdir(parents=True)
    for distribution in with_dependencies(set(specifiers(environment)) - {"python"}):
        for name in {path.parts[0] for path in distribution.files} - {"..", "__pycache__"}:
            link = folder / name
            if not link.exists() and not name.endswith(".pth"):
                link.symlink_to(distribution.locate_file(name))


def stand_in(arguments, home):
    """What Snakemake asks of conda, answered from the installed packages.

    Environments get a `python` that sees the packages of their file alone, and notes every run.
    """
    if arguments[0] == "--version":
        print("conda 25.1.0")
    elif arguments[0] == "clean":
        pass
    elif arguments[0] == "info":
        print(json.dumps({"conda_prefix": str(home), "platform": "linux-64"}))
    elif arguments[0] == "config":
        print('{"get": {"channel_priority": "strict"}}')
    elif arguments[:2] == ["env", "create"]:
        options = dict(zip(arguments, arguments[1:], strict=False))
        options = {name: value for name, value in options.items() if name.startswith("--")}
        prefix = Path(options["--prefix"])
        make_place(options["--file"], prefix / "packages")
        (prefix / "bin").mkdir()
        python = prefix / "bin/python"
        python.write_text(
            f'#!/bin/sh\necho "{prefix}" >> "{home}/runs.txt"\n'
            f'export PYTHONPATH="{prefix}/packages"\nexec "{sys.executable}" -S "$@"\n',
            encoding="utf-8",
        )
        python.chmod(0o755)
        with open(home / "made.txt", "a", encoding="utf-8") as made:
            made.write(f"{options['--file']}\n")
    else:
        sys.exit(f"conda {arguments}: not known to the stand-in")


def install_stand_in(home):
    """Put a `conda` command into `home/bin`, to be put before everything else on PATH."""
    (home / "bin").mkdir(parents=True)
    conda = home / "bin/conda"
    conda.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from lean import stand_in\nstand_in(sys.argv[1:], Path({str(home)!r}))\n",
        encoding="utf-8",
    )
    conda.chmod(0o755)
    (home / "bin/activate").write_text('export PATH="$1/bin:$PATH"\n', encoding="utf-8")


def install_apptainer_stand_in(home):
    """Put an `apptainer` into `home/bin` that notes image and options, and runs without them."""
    (home / "bin").mkdir(parents=True)
    apptainer = home / "bin/apptainer"
    apptainer.write_text(
        '#!/bin/bash\nif [ "$1" = --version ]; then echo "apptainer version 1.3.0"; exit; fi\n'
        f'printf "%s " "$@" >> "{home}/runs.txt"\necho >> "{home}/runs.txt"\n'
        'while [ "$1" != -c ]; do shift; done\n'
        f'export PATH="{Path(sys.executable).parent}:$PATH"\nexec bash "$@"\n',
        encoding="utf-8",
    )
    apptainer.chmod(0o755)
