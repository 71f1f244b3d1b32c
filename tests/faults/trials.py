"""A tiny study, disturbed with real processes and signals and compared with an undisturbed one."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import psutil
import torch
from house import ROOT, House

STUDY = Path(__file__).with_name("study.yaml")
RESULTS = "results/faults"
PHANTOMS = "resources/phantom/faults/Phantom-v1.0-small"
# Every rule with the files of one of its jobs, in the order of the stages.
_GAN, _BANK = "gan/{}/100/draw0/{}", "bank/{}/100/draw0/{}"
STAGES = {
    "make_phantoms": [
        f"{PHANTOMS}/{name}" for name in ("train.csv", "valid.csv", "train", "valid")
    ],
    "index_images": [f"{RESULTS}/dataset/images.parquet"],
    "split_patients": [f"{RESULTS}/dataset/split.csv"],
    "check_labels": [f"{RESULTS}/dataset/label_counts.csv"],
    "decode_images": [
        f"{RESULTS}/dataset/pixels_32/0.h5",
        f"{RESULTS}/dataset/pixels_32/0_rejected.csv",
    ],
    "cache_pixels": [
        *(f"{RESULTS}/dataset/pixels_32{end}" for end in (".h5", "_rejected.csv", "_notes.csv")),
        f"{RESULTS}/dataset/readable.parquet",
    ],
    "label_images": [f"{RESULTS}/dataset/labels.parquet"],
    "draw_patients": [f"{RESULTS}/dataset/draw0.csv"],
    "make_training_set": [f"{RESULTS}/{_GAN.format('base', 'negatives')}/training_set.h5"],
    "make_validation_set": [f"{RESULTS}/dataset/validation/lung_lesion.h5"],
    "train_features": [
        f"{RESULTS}/features/100/draw0/{name}" for name in ("model.pt", "history.csv")
    ],
    "train_gan": [
        f"{RESULTS}/{_GAN.format('filtered', 'lung_lesion')}/{name}"
        for name in ("generator.pt", "generator.json", "training.csv", "samples.png")
    ],
    "make_bank": [f"{RESULTS}/{_BANK.format('filtered', 'lung_lesion')}.h5"],
    "measure_bank": [f"{RESULTS}/{_BANK.format('filtered', 'lung_lesion')}_quality.json"],
    "measure_filters": [f"{RESULTS}/bank/filter_leak/100/draw0.json"],
    "describe_bank": [
        f"{RESULTS}/{_BANK.format('filtered', 'lung_lesion')}{end}"
        for end in ("_datasheet.md", "_sheet.npz")
    ],
    "pretrain_classifier": [
        f"{RESULTS}/unlabelled/seed0/{name}" for name in ("model.pt", "history.csv")
    ],
    "train_classifier": [
        f"{RESULTS}/classifier/balanced_gan/100/draw0/seed0/{name}"
        for name in ("model.pt", "predictions.parquet", "history.csv")
    ],
    "explain_classifiers": [f"{RESULTS}/maps/lung_lesion.npz"],
    "check_leakage": [f"{RESULTS}/report/leakage.csv"],
    "evaluate": [
        f"{RESULTS}/report/{name}.csv"
        for name in (
            *("auc", "overall", "curves", "subgroups", "calibration", "counts", "patients"),
            *("sources", "runs", "dose", "ceiling", "worth", "summary", "expert"),
            *("external", "external_overall", "external_subgroups"),
        )
    ],
    "make_report": [
        f"{RESULTS}/report/{name}"
        for name in (
            *("index.html", "quality.csv", "filters.csv", "alone.csv", "summary.txt", "figures"),
        )
    ],
}
# Folders of resume files of the stages that have them: a trial begins without.
STATES = {
    "train_features": f"{RESULTS}/state/features/100/draw0",
    "train_gan": f"{RESULTS}/state/{_GAN.format('filtered', 'lung_lesion')}",
    "pretrain_classifier": f"{RESULTS}/state/unlabelled/seed0",
    "train_classifier": f"{RESULTS}/state/classifier/balanced_gan/100/draw0/seed0",
}
# What says how long something took, and pages that show it.
_WITH_CLOCK = {"training.csv", "index.html", "last_complete.html"}
# A SHA-256, and the version of Python or of a package.
_MADE_BY = re.compile(rb'[0-9a-f]{64}|\b[a-z][a-z0-9-]+("?: "| )\d+\.\d+\.\d+\b')
_JOB = re.compile(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py$")
# Seconds within which a run of this study ends on a machine that does other things, too.
_PATIENCE_S = 7200.0
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Study(House):
    """A copy of the workflow with the tiny study of faults."""

    python = sys.executable

    def start(self, *arguments, **process) -> subprocess.Popen:
        """Snakemake in a process group of its own; what it prints goes to console.txt."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **process.pop("env", {})}
        # The copy's own library.
        environment.pop("PYTHONPATH", None)
        command = [self.python, "-m", "snakemake", "--configfile", "study.yaml", "--cores", "1"]
        with open(self.console, "wb") as console:
            return subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                **process,
            )

    @property
    def console(self) -> Path:
        return self.folder / "console.txt"

    def said(self) -> str:
        return self.console.read_text(encoding="utf-8", errors="replace")

    def attempt(self, *arguments, **process) -> int:
        """Run Snakemake to its end; its exit status."""
        started = self.start(*arguments, **process)
        try:
            return started.wait(_PATIENCE_S)
        except BaseException:
            kill_group(started)
            raise

    def complete(self, *arguments, **process) -> None:
        """Run Snakemake, which must succeed."""
        status = self.attempt(*arguments, **process)
        assert status == 0, f"snakemake {' '.join(arguments)} ended with {status}\n{self.said()}"

    def wait_for_job(self, run: subprocess.Popen, stage: str) -> psutil.Process | None:
        """The running job of a stage; None when Snakemake has ended without."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if found := self.jobs(stage):
                return found[0]
            if run.poll() is not None:
                return None
            time.sleep(0.05)
        raise TimeoutError(f"no job of {stage}\n{self.said()}")

    def forget(self, stage: str) -> None:
        """Remove what one job of a stage has made, and what it would go on from."""
        for name in STAGES[stage]:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            for file in (path, path.with_name(f".{path.name}.sha256")):
                file.unlink(missing_ok=True)
        if stage in STATES:
            shutil.rmtree(self.folder / STATES[stage], ignore_errors=True)

    def seconds_of(self, stage: str) -> float:
        """How long the longest job of a stage took, undisturbed."""
        folder = self.folder / RESULTS / "benchmarks"
        tables = [*folder.glob(f"{stage}.tsv"), *(folder / stage).rglob("*.tsv")]
        return max(float(t.read_text(encoding="utf-8").split("\n")[1].split()[0]) for t in tables)

    def digests(self, *names: str) -> dict[str, str]:
        """SHA-256 by name of every result but those that say how long something took.

        Args:
            names: of files, or of folders with all that is in them; none for all results.
        """
        roots = [self.folder / name for name in names or (RESULTS,)]
        paths = [path for root in roots for path in (root, *root.rglob("*")) if path.is_file()]
        aside = tuple(f"{RESULTS}/{name}/" for name in ("logs", "benchmarks", "state"))
        found = {}
        for path in sorted(paths):
            name = path.relative_to(self.folder).as_posix()
            hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
            if not name.startswith(aside) and not hidden and path.name not in _WITH_CLOCK:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def numbers(self) -> dict[str, str]:
        """Digests like those of all results, of what files hold but not of what made them.

        Files name the versions of Python and of packages, and digests of files that do.
        """
        return {
            name: hashlib.sha256(_held(self.folder / name)).hexdigest() for name in self.digests()
        }

    @contextlib.contextmanager
    def times_kept(self) -> Iterator[None]:
        """What is made anew meanwhile, but for what was missing before, gets its old time back."""
        places = [self.folder / name for name in ("results", "resources")]
        times = {path: path.stat() for place in places for path in place.rglob("*")}
        try:
            yield
        finally:
            for path, was in times.items():
                if path.exists():
                    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    def litter(self) -> list[str]:
        """What should not be there when nothing runs: half-written files, locks, processes."""
        root = self.folder
        known = re.compile(r"\.(.*\.sha256|snakemake_timestamp)$")
        found = [
            path.relative_to(root).as_posix()
            for place in (root / "results", root / "resources")
            for path in place.rglob(".*")
            if not known.match(path.name)
        ]
        found += [path.name for path in root.rglob("*.writing")]
        found += [path.name for path in (root / ".snakemake/locks").glob("*")]
        return found + [f"process {job.pid}" for job in self.jobs()]

    def jobs(self, stage: str | None = None) -> list[psutil.Process]:
        """The running jobs' own processes, of one stage or of all; not those that they started."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ran = stage_of(process)
                wanted = ran and stage in (None, ran) and process.status() != "zombie"
                if wanted and Path(process.cwd()) == self.folder.resolve():
                    found[process.pid] = (process, process.ppid())
        return [process for process, parent in found.values() if parent not in found]


def _held(path: Path) -> bytes:
    """What a file holds, as bytes, without where it comes from."""
    if path.suffix == ".h5":
        parts = []
        with h5py.File(path) as file:
            file.visititems(lambda name, item: parts.append((name, item)))
            held = [(name, item[()].tolist()) for name, item in parts if hasattr(item, "shape")]
        return repr(held).encode()
    if path.suffix == ".pt":
        return repr(_tensors(torch.load(path, weights_only=True))).encode()
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv().encode()
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return repr(
                [(name, arrays[name].tolist()) for name in arrays if name != "about"]
            ).encode()
    content = path.read_bytes()
    return content if path.suffix == ".png" else _MADE_BY.sub(b"", content)


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return [(key, _tensors(part)) for key, part in value.items() if key != "provenance"]
    return [_tensors(part) for part in value] if isinstance(value, list | tuple) else value


def stage_of(process: psutil.Process) -> str | None:
    """The stage whose job a process is; None if it is none.

    Raises:
        psutil.Error: if the process has ended.
    """
    match = next(filter(None, map(_JOB.search, process.cmdline())), None)
    return match and match[1]


def kill_group(process: subprocess.Popen) -> None:
    """SIGKILL to Snakemake and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def code_version() -> str:
    """A digest of all that the study's numbers and the way they are made depend on."""
    digest = hashlib.sha256()
    for folder in ("workflow", "config", "profiles", "envs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    digest.update((ROOT / "Snakefile").read_bytes() + STUDY.read_bytes())
    return digest.hexdigest()[:12]


def reference(place: Path) -> Study:
    """The undisturbed study of this code, made once and kept in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    folder = place / code_version()
    with open(place / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = place / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            study = Study(House.build(unfinished).folder)
            shutil.copy2(STUDY, study.folder / "study.yaml")
            study.complete()
            unfinished.rename(folder)
    return Study(folder)


def folder_of(place: Path, fault: str) -> tuple[Path, Path]:
    """Where the trials of a fault follow each other, and the lines of those not yet compared."""
    name = f"{fault.replace(' ', '_')}-{code_version()}"
    return place / name, place / f"{name}.jsonl"


class Trial:
    """One copy of the study, one fault, and what came of it.

    Args:
        undisturbed: the study to compare with.
        folder: for the copy; one that is there is used as it is.
        seed: of all that is random in the trial.
    """

    def __init__(self, undisturbed: Study, folder: Path, seed: int):
        self.undisturbed, self.seed = undisturbed, seed
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.copying")
            shutil.rmtree(unfinished, ignore_errors=True)
            undisturbed.copy(unfinished)
            unfinished.rename(folder)
        self.study = Study(folder)
        self.chance = random.Random(seed)

    def check(self, stage: str) -> None:
        """The files of a stage are those of the undisturbed study, and there is no litter."""
        self._compare(self.study.digests(*STAGES[stage]), self.undisturbed.digests(*STAGES[stage]))

    def check_all(self) -> None:
        """The next run completes, and all is as in the undisturbed study, without litter."""
        self.study.complete()
        self._compare(self.study.digests(), self.undisturbed.digests())

    def make_again(self, cores: int = 1, python: str | os.PathLike = sys.executable) -> None:
        """Make the whole study anew, with so many cores and by one Python."""
        for folder in ("results", "resources", ".snakemake"):
            shutil.rmtree(self.study.folder / folder, ignore_errors=True)
        self.study.python = str(python)
        self.study.complete("--cores", str(cores))

    def check_numbers(self) -> None:
        """All numbers are those of the undisturbed study, whatever made them."""
        self._compare(self.study.numbers(), self.undisturbed.numbers())

    def _compare(self, found: dict[str, str], wanted: dict[str, str]) -> None:
        assert wanted
        differing = sorted(
            name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
        )
        assert not differing, f"seed {self.seed}: {differing}"
        assert not (left := self.study.litter()), f"seed {self.seed}: {left}"

    # Kills

    def kill(self, stage: str, kills: Mapping[str, int]) -> None:
        """Kill while a job of a stage runs, at random moments, until all is hit so many times.

        Args:
            stage: whose job runs.
            kills: of `snakemake` alone, of the whole `group`, and of the `job`, which Snakemake
                then tries again.
        """
        self.study.forget(stage)
        lives = [whom for whom in ("snakemake", "group") for _ in range(kills[whom])]
        self.chance.shuffle(lives)
        for whom in [*lives, "job"]:
            times = kills[whom] if whom == "job" else 1
            for misses in range(5):
                if self._kill_in_one_life(stage, whom, times, within=0.6**misses):
                    break
                # The job was too quick; the next one begins anew.
                self.study.forget(stage)
            else:
                raise AssertionError(f"{stage}: no kill of {whom} hit a running job")

    def _kill_in_one_life(self, stage: str, whom: str, times: int, within: float) -> bool:
        """Start Snakemake and kill; whether all kills hit.

        `within` is the share of a job's usual time in which they fall.
        """
        study, hits = self.study, 0
        retries = ["--retries", str(times)] if whom == "job" else []
        run = study.start(*STAGES[stage], *retries)
        while hits < times and (job := study.wait_for_job(run, stage)):
            # A job's first seconds are imports: later moments more often.
            moment = within * study.seconds_of(stage) * self.chance.betavariate(1.5, 1)
            psutil.wait_procs([job], timeout=moment)
            if not job.is_running():
                continue
            if whom == "job":
                with contextlib.suppress(psutil.NoSuchProcess):
                    job.kill()
                    hits += 1
                psutil.wait_procs([job])
            else:
                if whom == "group":
                    kill_group(run)
                else:
                    run.kill()
                hits += 1
                break
        status = run.wait(_PATIENCE_S)
        self._unlock()
        assert whom != "job" or status == 0, study.said()
        return hits == times

    def soak(self, share: float) -> Counter[tuple[str, str]]:
        """Make the whole study anew, with kills at random moments of random jobs.

        Args:
            share: probability with which a job is killed.

        Returns:
            How many of whom (Snakemake alone, the whole group, the job), by the job's stage.
        """
        study, kills, seen = self.study, Counter(), set()
        temporary = study.folder / "tmp"
        for folder in ("results", "resources", temporary):
            shutil.rmtree(study.folder / folder, ignore_errors=True)
        temporary.mkdir()
        shared = {path.name for path in Path("/dev/shm").glob("*")}
        run = None
        while run is None or run.poll() is None:
            run = run or study.start("--retries", "9", env={"TMPDIR": str(temporary)})
            for job in study.jobs():
                if job in seen:
                    continue
                seen.add(job)
                whom = self.chance.choice(("snakemake", "group", "job"))
                moment = 5 * self.chance.betavariate(1.5, 2)
                if self.chance.random() >= share:
                    continue
                psutil.wait_procs([job], timeout=moment)
                if not job.is_running():
                    continue
                try:
                    stage = stage_of(job)
                    if whom == "job":
                        job.kill()
                except psutil.Error:
                    continue
                kills[whom, stage] += 1
                if whom == "job":
                    continue
                if whom == "group":
                    kill_group(run)
                else:
                    run.kill()
                    run.wait()
                self._unlock()
                run = None
                break
            time.sleep(0.05)
        assert run.returncode == 0, study.said()
        # Of a killed Snakemake, and PyTorch's own.
        usual = re.compile(r"snakemake\w{8}|torchinductor_\w+")
        left = [path.name for path in temporary.iterdir() if not usual.fullmatch(path.name)]
        left += [path.name for path in Path("/dev/shm").glob("*") if path.name not in shared]
        assert not left, f"seed {self.seed}: {left}"
        kept = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
        assert kept < 1 << 20, f"seed {self.seed}: {kept} bytes of temporary files"
        return kills

    def _unlock(self) -> None:
        """Wait for jobs that go on without their Snakemake, as a person would, and unlock."""
        psutil.wait_procs(self.study.jobs(), timeout=_PATIENCE_S)
        for lock in (self.study.folder / ".snakemake/locks").glob("*"):
            # What `snakemake --unlock` does, without its seconds.
            lock.unlink()

    # Disks

    @contextlib.contextmanager
    def small_disk(self, stage: str, free: int) -> Iterator[Callable[..., None]]:
        """The results on a disk of their own, with `free` bytes left, or read-only with None.

        Yields:
            What makes room again.
        """
        # The phantoms are no results.
        results = self.study.folder / Path(STAGES[stage][0]).parts[0]
        aside = results.with_name("aside")
        results.rename(aside)
        results.mkdir()
        size = sum(path.stat().st_size for path in aside.rglob("*")) + (64 << 20)
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", results)
        try:
            shutil.copytree(aside, results, symlinks=True, dirs_exist_ok=True)
            self.study.forget(stage)
            filler = results / "filler"
            if free is None:
                _mount("-o", "remount,ro", results)
            else:
                room = os.statvfs(results)
                with open(filler, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_bsize - free)

            def make_room() -> None:
                _mount("-o", "remount,rw", results)
                filler.unlink(missing_ok=True)

            yield make_room
            shutil.rmtree(aside)
            shutil.copytree(results, aside, symlinks=True)
        finally:
            subprocess.run(["umount", "-l", results], check=True)
            results.rmdir()
            aside.rename(results)

    # Files

    @contextlib.contextmanager
    def damaged(self, name: str, how: str, other: str) -> Iterator[None]:
        """Meanwhile one file of the study is damaged, without a trace in its time.

        Afterwards it is as it was, and all that was made anew has its old time: else what comes
        after the file would be made anew before the next trial.

        Args:
            name: of the file in the results.
            how: truncated, header, middle, end (a flipped bit there) or swapped.
            other: name of a file of the same kind for `swapped`.
        """
        path = self.study.folder / RESULTS / name
        whole, before = path.read_bytes(), path.stat()
        content, size = bytearray(whole), len(whole)
        if how == "truncated":
            content = content[: self.chance.randrange(1, size)]
        elif how == "swapped":
            content = (self.study.folder / RESULTS / other).read_bytes()
        else:
            begin, end = {
                "header": (0, min(16, size)),
                "middle": (size // 3, 2 * size // 3),
                "end": (max(0, size - 16), size),
            }[how]
            content[self.chance.randrange(begin, end)] ^= 1 << self.chance.randrange(8)
        with self.study.times_kept():
            path.write_bytes(content)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            try:
                yield
            finally:
                # Where it was made anew, too: it has to be the same.
                made_anew = path.exists() and path.read_bytes() not in (whole, bytes(content))
                path.write_bytes(whole)
        assert not made_anew, f"seed {self.seed}: {name}"


def _mount(*arguments) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether file systems may be mounted here."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        return False
    return subprocess.run(["umount", str(folder)]).returncode == 0


def named_error(number: int) -> str:
    return errno.errorcode[number]


def append(record: Path, lines: list[dict]) -> None:
    """Add a trial's lines to the record as soon as it is over, all at once."""
    record.parent.mkdir(parents=True, exist_ok=True)
    before = record.read_bytes() if record.exists() else b""
    with open(record, "a", encoding="utf-8") as file:
        # After a line that was cut off.
        file.write("\n" if before and not before.endswith(b"\n") else "")
        file.write("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def read_record(record: Path) -> list[dict]:
    """The lines of a record; a last one that is cut off counts as none."""
    lines = []
    if record.exists():
        for text in record.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(text))
    return lines
