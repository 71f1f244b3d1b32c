"""A private copy of the workflow with a tiny study, for tests that run Snakemake."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.phantom import PhantomSettings

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests/workflow/tiny.yaml"


class House:
    """A private copy of the workflow with a config of its own."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def build(cls, folder: Path) -> "House":
        folder.mkdir(parents=True)
        for name in ("workflow", "config", "envs", "profiles", "Snakefile"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        shutil.copy2(TINY, folder / "study.yaml")
        return cls(folder)

    def copy(self, folder: Path) -> "House":
        shutil.copytree(self.folder, folder, symlinks=True)
        return House(folder)

    def snakemake(self, *arguments, check=True, configfile="study.yaml", encoding="utf-8"):
        """Run Snakemake here; its output as text."""
        configured = ["--configfile", configfile] if configfile else []
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, *configured]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            encoding=encoding,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout[-20_000:]}")
        return done.stdout

    def stale_jobs(self):
        """The jobs that would run, as (rule, wildcards) pairs; `all` does not count."""
        text = self.snakemake("--dry-run")
        jobs = set()
        for block in re.split(r"^(?=(?:local)?rule )", text, flags=re.M)[1:]:
            rule = re.match(r"(?:local)?rule (\w+):", block)[1]
            wildcards = re.search(r"^    wildcards: (.*)$", block, re.M)
            jobs.add((rule, wildcards[1] if wildcards else ""))
        assert jobs or "Nothing to be done" in text
        return {job for job in jobs if job[0] != "all"}

    def stale_rules(self):
        """Names of the rules of the jobs that would run."""
        return {rule for rule, _ in self.stale_jobs()}

    def edit(self, name, old, new):
        """Replace `old`, which must be there, in one file."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def configure(self, **changes):
        """Change keys of the study's config, written as dotted names with `__` for the dots."""
        path = self.folder / "study.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            section = config
            *parents, last = key.split("__")
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


class lock:
    """One worker at a time."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.file = open(self.path, "w", encoding="utf-8")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def make_real_images(house):
    """Phantoms in a folder that the study takes for a user's own data set."""
    make_phantoms(
        root=house.folder / "data/Phantom-v1.0-small",
        settings=PhantomSettings(
            patients=60,
            expert_patients=6,
            resolution=64,
            prevalence={"scale": 1.0, "Lung Lesion": 0.4},
            studies_per_patient=2.9,
            seed=1,
        ),
    )
