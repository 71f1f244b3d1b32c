"""What a machine and a study's data lack, before hours are spent: the checks of `make doctor`.

Each check gives findings: what was seen and, where it is not as it should be, what mends it.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rarecxr.data.formats.registry import CHEXPERT
from rarecxr.data.image_folder import ImageFolder
from rarecxr.study.configuration.external import ExternalSettings
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.findings import NO_FINDING
from rarecxr.study.source import missing_tables, source_of, tables_of

# What a job of the smallest study takes, in MB, and the least room for a study, in GB.
_LEAST_MEMORY_MB = 4000
_LEAST_DISK_GB = 5
# The oldest conda that Snakemake accepts.
_CONDA = (24, 7, 1)
# Side of images in pixels from which a study without a GPU takes weeks.
_LARGE_PX = 128


@dataclass(frozen=True)
class Finding:
    """One thing that a check saw.

    Attributes:
        level: ok; note, for what may be meant; wrong, for what stops a run.
        text: what was seen.
        advice: what mends it; empty where nothing is to be mended.
    """

    level: Literal["ok", "note", "wrong"]
    text: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:>5}  {self.text}"
        return f"{line}\n       -> {self.advice}" if self.advice else line


def examine(
    config: Configuration, folder: Path, sample: int = 200
) -> Iterator[tuple[str, Finding]]:
    """All checks, as name and finding, each as soon as it is known.

    Args:
        config: the study's configuration.
        folder: where Snakemake runs: relative paths and results lie below it.
        sample: images that are opened, at most.
    """
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "packages": check_packages,
        "disk": lambda: check_disk(config, folder),
        "memory": check_memory,
        "GPU": lambda: check_gpu(config),
        "data": lambda: check_data(config, folder, sample),
        "external test sets": lambda: check_external(config, folder, sample),
        "weights": lambda: check_weights(config, folder),
        "SLURM": check_slurm,
        "conda": check_conda,
    }
    for name, check in checks.items():
        for finding in check():
            yield name, finding


def check_packages() -> Iterator[Finding]:
    """Whether this Python holds what the jobs import."""
    names = ("snakemake", "numpy", "pandas", "h5py", "scikit-learn", "matplotlib", "torch")
    missing = [name for name in names if _version(name) is None]
    if missing:
        yield Finding(
            "note",
            f"this Python lacks {', '.join(missing)}",
            "run `make setup`, or start Snakemake with --use-conda, which brings them",
        )
    found = [f"{name} {_version(name)}" for name in names if name not in missing]
    yield Finding("ok", ", ".join(found))
    folder = sysconfig.get_path("purelib")
    keeps = not sys.dont_write_bytecode and os.access(folder, os.W_OK)
    if not keeps and not _compiled("snakemake"):
        yield Finding(
            "note",
            "the packages are not compiled to byte code, and jobs cannot keep what they compile: "
            "each takes seconds longer to start",
            "unset PYTHONDONTWRITEBYTECODE, or let the packages' owner run once "
            f"`python -m compileall -q {folder}`",
        )


def _compiled(package: str) -> bool:
    """Whether a package's first module lies beside its byte code for this Python."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return True
    return os.path.exists(importlib.util.cache_from_source(found.origin))


def check_disk(config: Configuration, folder: Path) -> Iterator[Finding]:
    """Whether results fit where they are written."""
    free = shutil.disk_usage(folder).free / 1e9
    level = "wrong" if free < _LEAST_DISK_GB else "ok"
    advice = "free some, or run with --directory on a larger disk (docs/cluster.md has sizes)"
    yield Finding(level, f"{free:.0f} GB free in {folder}", advice if level == "wrong" else "")
    if not os.access(folder, os.W_OK):
        yield Finding("wrong", f"{folder} cannot be written", "run with --directory elsewhere")


def check_memory() -> Iterator[Finding]:
    """Memory and processors that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = Path("/sys/fs/cgroup") / name
        text = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
        if text.isdigit():
            memory = min(memory, int(text) // 10**6)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    little = memory < _LEAST_MEMORY_MB
    yield Finding(
        "wrong" if little else "ok",
        f"{memory / 1000:.0f} GB of memory, {cores} CPU cores",
        f"jobs need at least {_LEAST_MEMORY_MB // 1000} GB" if little else "",
    )


def check_gpu(config: Configuration) -> Iterator[Finding]:
    """Whether PyTorch can use the GPUs of this machine, and whether the study needs one."""
    wanted = {config.gan.device, config.classifier.device}
    if _version("torch") is None:
        yield Finding("note", "PyTorch is not in this Python: not looked")
        return
    import torch

    from rarecxr.core.devices import unusable_gpu

    trouble = unusable_gpu()
    if trouble:
        yield Finding("wrong" if "cuda" in wanted else "note", trouble, "see envs/README.md")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(number)
            yield Finding(
                "ok",
                f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB, compute capability {gpu.major}."
                f"{gpu.minor}, PyTorch {torch.__version__} for CUDA {torch.version.cuda}",
            )
        return
    text = "no GPU here: trainings run on the CPU"
    if "cuda" in wanted:
        yield Finding("wrong", "device: cuda, and there is no GPU here", "give auto or cpu")
    elif config.gan.resolution >= _LARGE_PX:
        yield Finding(
            "note",
            f"{text}, and gan.resolution is {config.gan.resolution}",
            "give the study a GPU, or a smaller resolution (docs/performance.md has times)",
        )
    else:
        yield Finding("ok", text)


def check_data(config: Configuration, folder: Path, sample: int) -> Iterator[Finding]:
    """Rows, patients, positives, and whether a sample of the images can be read."""
    dataset = config.dataset
    if dataset.root is None:
        yield Finding("ok", "the embedded phantoms, which the first job draws")
        return
    root = folder / dataset.root
    if not root.is_dir():
        where = "" if Path(dataset.root).is_absolute() else f" (below {folder})"
        yield Finding(
            "wrong",
            f"dataset.root: there is no folder {dataset.root}{where}",
            f"give the folder that holds {dataset.train_csv}",
        )
        return
    if dataset.format != CHEXPERT:
        missing = list(missing_tables(dataset, str(root)))
        for sentence in missing:
            what, _, advice = sentence.partition("; ")
            yield Finding("wrong", what, advice)
        if not missing:
            yield from _check_source(config, folder, root, sample)
        return
    for key in ("train_csv", "expert_csv"):
        name = getattr(dataset, key)
        if name is None:
            continue
        path = Path(ImageFolder(root).table(name))
        if not path.is_file():
            there = sorted(path.name for path in root.glob("*.csv"))
            yield Finding(
                "wrong",
                f"dataset.{key}: there is no file {path}",
                f"CSV files there: {', '.join(there) or 'none'}",
            )
            continue
        yield from _check_csv(config, root, path, sample)


def _check_csv(config: Configuration, root: Path, path: Path, sample: int) -> Iterator[Finding]:
    from rarecxr.data.chexpert import read_csv
    from rarecxr.data.image_rows import known_findings

    try:
        table = read_csv(path, known_findings(path))
    except (OSError, ValueError) as error:
        yield Finding("wrong", str(error), "correct the file")
        return
    trained = path.name == config.dataset.train_csv
    yield from _check_table(config, root, path.name, table, trained, sample)


def _check_source(
    config: Configuration, folder: Path, root: Path, sample: int
) -> Iterator[Finding]:
    from rarecxr.data.image_index import read_source

    dataset = config.dataset
    source = source_of(dataset, tables_of(dataset, str(folder)))
    try:
        table = read_source(dataset.format, source)
    except (OSError, ValueError) as error:
        yield Finding("wrong", str(error), "correct the file")
        return
    yield from _check_table(config, root, dataset.format, table, True, sample)


def _check_table(
    config: Configuration, root: Path, name: str, table, trained: bool, sample: int
) -> Iterator[Finding]:
    import numpy as np

    from rarecxr.data.index_columns import label_columns
    from rarecxr.data.labels import apply_policies

    dataset = config.dataset
    used = table[table["view"].isin(dataset.views)]
    yield Finding(
        "ok",
        f"{name}: {len(table):,} rows, {len(used):,} of the views {', '.join(dataset.views)}, "
        f"{used['patient'].nunique():,} patients",
    )
    if used.empty:
        views = ", ".join(sorted(set(table["view"])))
        yield Finding("wrong", f"{name}: no image has such a view", f"there are {views}")
        return
    policies = dataset.uncertain.mapping()
    findings = label_columns(used.columns)
    lacking = [finding for finding in dataset.findings if finding not in findings]
    if lacking:
        yield Finding(
            "wrong",
            f"{name}: does not name {', '.join(lacking)} of dataset.findings",
            f"it names {', '.join(findings)}",
        )
        return
    applied = apply_policies(used[findings], policies, dataset.blank)
    for finding in dict.fromkeys([*dataset.target_findings, *dataset.planned_findings]):
        raw = used[finding]
        labels = applied[finding]
        patients = used.loc[labels == 1, "patient"].nunique()
        text = (
            f"{name}: {finding}: {int((labels == 1).sum()):,} positive images of {patients:,} "
            f"patients, {int((labels == 0).sum()):,} negative; {int((raw == -1).sum()):,} uncertain"
        )
        if (labels == 1).any() and (labels == 0).any():
            yield Finding("ok", text)
        else:
            lacking = "positive" if not (labels == 1).any() else "negative"
            yield Finding(
                "wrong" if trained else "note",
                text,
                f"there is no {lacking} image: choose other target findings, or another policy of "
                "dataset.uncertain and dataset.blank",
            )
    chosen = np.unique(np.linspace(0, len(used) - 1, min(sample, len(used))).astype(int))
    yield from _check_images(config, root, name, list(used["image"].iloc[chosen]))


def _check_images(
    config: Configuration,
    root: Path,
    name: str,
    images: list[str],
    max_rejected: float | None = None,
    section: str = "dataset",
) -> Iterator[Finding]:
    from rarecxr.data.decode import Unreadable, decode
    from rarecxr.data.image_bytes import read_bytes

    reasons = {}
    places = ImageFolder(root)
    for image in images:
        try:
            decode(
                read_bytes(places.place(image)), config.dataset.resolution, config.dataset.square
            )
        except Unreadable as error:
            reasons[image] = str(error)
    good = len(images) - len(reasons)
    text = f"{name}: {good} of {len(images)} images that were opened can be read"
    if not reasons:
        yield Finding("ok", text)
        return
    allowed = config.dataset.max_rejected if max_rejected is None else max_rejected
    image, reason = next(iter(reasons.items()))
    share = len(reasons) / len(images)
    yield Finding(
        "wrong" if share > allowed else "note",
        f"{text}; {image}: {reason}",
        f"see that the data set is complete; {section}.root is the folder that its archives unpack "
        f"into, and {section}.max_rejected ({allowed:g}) the share that may be missing",
    )


def check_external(config: Configuration, folder: Path, sample: int) -> Iterator[Finding]:
    """Rows, patients and positives of the external test sets, and a sample of their images."""
    dataset = config.dataset
    for name, external in dataset.external_sets().items():
        section = f"dataset.external.{name}"
        root = folder / external.root
        if not root.is_dir():
            where = "" if Path(external.root).is_absolute() else f" (below {folder})"
            text = f"{section}.root: there is no folder {external.root}{where}"
            yield Finding("wrong", text, "give the folder of the data set")
            continue
        with tempfile.TemporaryDirectory() as place:
            yield from _check_set(config, external, section, folder, Path(place), sample)


def _check_set(
    config: Configuration,
    external: ExternalSettings,
    section: str,
    folder: Path,
    place: Path,
    sample: int,
) -> Iterator[Finding]:
    import numpy as np

    from rarecxr.core.tables import read_parquet
    from rarecxr.data.labels import label_images
    from rarecxr.study.external_index import index_external

    dataset = config.dataset
    index, labels = place / "images.parquet", place / "labels.parquet"
    try:
        index_external(external, folder, index, section)
        label_images(
            index,
            external.uncertain.mapping(),
            external.blank,
            labels,
            names={
                finding: external.names_of(finding) for finding in [*dataset.findings, NO_FINDING]
            },
            needed=[*dataset.target_findings, *external.labels],
            section=section,
        )
    except (OSError, ValueError) as error:
        yield Finding("wrong", str(error), "correct the table, or the settings of the set")
        return
    table = read_parquet(labels)
    name = section.rpartition(".")[2]
    yield Finding("ok", f"{name}: {len(table):,} images of {table['patient'].nunique():,} patients")
    least = config.report.statistics.min_positive_patients
    for finding in dataset.target_findings:
        if finding not in table:
            yield Finding("note", f"{name}: {finding}: has no such label, and no result")
            continue
        positive = table[table[finding] == 1]
        patients = positive["patient"].nunique()
        text = f"{name}: {finding}: {len(positive):,} positive images of {patients:,} patients"
        if patients < least:
            advice = f"with fewer than {least} (report.statistics) there is no interval and no test"
            yield Finding("note", text, advice)
        else:
            yield Finding("ok", text)
    chosen = np.unique(np.linspace(0, len(table) - 1, min(sample, len(table))).astype(int))
    images = list(table["image"].iloc[chosen])
    root = folder / external.root
    yield from _check_images(config, root, name, images, external.max_rejected, section)


def check_weights(config: Configuration, folder: Path) -> Iterator[Finding]:
    """Whether the pretrained weights that the study starts from are on this machine."""
    for section in ("classifier", "features"):
        settings = getattr(config, section)
        if settings.weights is None:
            yield Finding("ok", f"{section}: random weights")
            continue
        if _version("torchvision") is None:
            yield Finding("note", f"{section}: torchvision is not in this Python: not looked")
            continue
        from rarecxr.classifier.weights import find_weights

        weights = settings.weights
        if weights != "imagenet":
            weights = str(folder / weights)
        try:
            path, _ = find_weights(
                settings.architecture, weights, settings.weights_dir, fetch=False
            )
            yield Finding("ok", f"{section}: {path.name}, its digest is right")
        except FileNotFoundError as error:
            level = "note" if weights == "imagenet" else "wrong"
            yield Finding(level, f"{section}.weights: {error}", _fetching(level))
        except ValueError as error:
            yield Finding("wrong", f"{section}.weights: {error}", "fetch the file again")


def _fetching(level: str) -> str:
    if level == "note":
        return "the first training fetches it where the internet can be reached"
    return "give the path of a file of weights, imagenet, or null"


def check_slurm() -> Iterator[Finding]:
    """Whether this is a cluster, and what it lacks for the profile."""
    if shutil.which("sbatch") is None:
        yield Finding("ok", "not a SLURM cluster (no sbatch)")
        return
    if _version("snakemake-executor-plugin-slurm") is None:
        yield Finding(
            "wrong",
            "SLURM is here, Snakemake's plugin for it is not",
            "run `make setup`, or install snakemake-executor-plugin-slurm beside Snakemake",
        )
    said = _said("sinfo", "--noheader", "--format=%R %G %l")
    if said is None:
        yield Finding("wrong", "sinfo does not answer", "ask your cluster's administrators")
        return
    partitions = "; ".join(sorted({" ".join(line.split()) for line in said.splitlines()}))
    yield Finding("ok", f"partitions (name, GPUs, time limit): {partitions}")


def check_conda() -> Iterator[Finding]:
    """Whether conda, where there is one, can make the environments."""
    said = _said("conda", "--version") if shutil.which("conda") else None
    if said is None:
        yield Finding("ok", "no conda, which only --use-conda needs")
        return
    version = tuple(map(int, re.findall(r"\d+", said)[:3]))
    if version < _CONDA:
        yield Finding("note", said.strip(), "--use-conda needs conda 24.7.1 or newer")
    elif "defaults" in (_said("conda", "config", "--show", "channels") or ""):
        yield Finding(
            "note",
            f"{said.strip()} asks the channel defaults, whose terms of service stop the creation "
            "of environments",
            "conda config --remove channels defaults, or use Miniforge",
        )
    else:
        yield Finding("ok", said.strip())


def _version(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _said(*command: str) -> str | None:
    """What a command prints, or None if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands, no shell
            command, capture_output=True, encoding="utf-8", timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
