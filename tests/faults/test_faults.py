"""Faults in every stage of a study: at most minutes are lost, and never a number is wrong.

`make test-faults` runs them all, in hours on one core; an interrupted run goes on where it was. The
trials of one kind of fault follow each other in one copy of the study, latest stage first, so that
none of them touches what a later trial's stage reads. After each, the files of its stage have to be
those of the undisturbed study; after all of them the next run completes the copy, and only when the
whole of it is identical do their lines go into the record. A trial in the record is not repeated.
docs/reliability.md is made from the record.
"""

import os
import shutil
import time
import zlib
from pathlib import Path

import h5py
import no_locks
import psutil
import pytest
import trials
from house import ROOT
from trials import RESULTS, STAGES, Trial

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

RECORD = Path(os.environ.get("RARECXR_FAULTS_RECORD", ROOT / "docs/reliability/faults.jsonl"))
PLACE = Path(os.environ.get("RARECXR_FAULTS_PLACE", ROOT / ".faults"))

# In each stage; 132 in all.
KILLS = {"snakemake": 1, "group": 1, "job": 4}
# Times that the whole study is made in one folder, with kills all along.
SOAK = 50
# Those that make the whole study, and so are compared at once.
WHOLE = {"soak", "made again"}
# How else it is made, without any fault.
AGAIN = {"1 core": {"cores": 1}, "2 cores": {"cores": 2}, "4 cores": {"cores": 4}}
OTHER_PYTHON = ROOT / ".venv-other/bin/python"
AGAIN["another Python"] = {"python": OTHER_PYTHON}
GAN = "gan/{}/100/draw0/{}"
# A file of each kind, one of the same kind, and a stage that reads it.
FILES = {
    "HDF5, pixels": (
        "dataset/pixels_32.h5",
        "dataset/validation/negatives.h5",
        "make_training_set",
    ),
    "HDF5, training set": (
        f"{GAN.format('filtered', 'lung_lesion')}/training_set.h5",
        f"{GAN.format('base', 'negatives')}/training_set.h5",
        "train_gan",
    ),
    "HDF5, bank": (
        "bank/filtered/100/draw0/lung_lesion.h5",
        "bank/base/100/draw0/negatives.h5",
        "train_classifier",
    ),
    "checkpoint, generator": (
        f"{GAN.format('filtered', 'lung_lesion')}/generator.pt",
        f"{GAN.format('base', 'negatives')}/generator.pt",
        "make_bank",
    ),
    "checkpoint, classifier": (
        "features/100/draw0/model.pt",
        "classifier/none/100/draw0/seed0/model.pt",
        "measure_bank",
    ),
    "Parquet, labels": ("dataset/labels.parquet", "dataset/readable.parquet", "make_training_set"),
    "Parquet, predictions": (
        "classifier/balanced_gan/100/draw0/seed0/predictions.parquet",
        "classifier/none/100/draw0/seed0/predictions.parquet",
        "evaluate",
    ),
    "JSON, GAN": (
        f"{GAN.format('filtered', 'lung_lesion')}/generator.json",
        f"{GAN.format('base', 'negatives')}/generator.json",
        "check_leakage",
    ),
    "JSON, quality": (
        "bank/filtered/100/draw0/lung_lesion_quality.json",
        "bank/base/100/draw0/negatives_quality.json",
        "describe_bank",
    ),
    "CSV, split": ("dataset/split.csv", "dataset/draw0.csv", "train_classifier"),
    "CSV, table": ("report/auc.csv", "report/overall.csv", "make_report"),
}
HARMS = ("truncated", "header", "middle", "end", "swapped")
# The input that is replaced while a job runs, and by what.
REPLACED = {
    "train_classifier": (
        "bank/filtered/100/draw0/lung_lesion.h5",
        "bank/base/100/draw0/negatives.h5",
    ),
    "make_bank": (
        f"{GAN.format('filtered', 'lung_lesion')}/generator.pt",
        f"{GAN.format('base', 'negatives')}/generator.pt",
    ),
    "make_training_set": ("dataset/labels.parquet", "dataset/readable.parquet"),
    "evaluate": (
        "classifier/balanced_gan/100/draw0/seed0/predictions.parquet",
        "classifier/none/100/draw0/seed0/predictions.parquet",
    ),
}


def listed():
    """Every trial: fault, stage and what is done; the beginning of the list has some of each."""
    latest_first = list(STAGES)[::-1]
    kinds = [
        [("kill -9", stage, "") for stage in latest_first],
        [
            ("damaged file", stage, f"{kind}: {how}")
            for kind, (_, _, stage) in sorted(
                FILES.items(), key=lambda item: latest_first.index(item[1][2])
            )
            for how in HARMS
        ],
        [("disk full", stage, "") for stage in latest_first],
        [("read-only output", stage, "") for stage in latest_first],
        [
            ("two runs at once", stage, "")
            for stage in ("evaluate", "train_classifier", "cache_pixels")
        ],
        [
            ("clock set back", stage, "two days")
            for stage in ("evaluate", "make_bank", "train_gan", "cache_pixels")
        ],
        [
            ("input replaced", stage, REPLACED[stage][0])
            for stage in latest_first
            if stage in REPLACED
        ],
        [
            ("no file locks", stage, trials.named_error(error))
            for stage in ("train_classifier", "make_bank", "train_gan")
            for error in no_locks.ERRORS
        ],
        [("made again", "all", what) for what in AGAIN],
        [("soak", "all", str(number)) for number in range(1, SOAK + 1)],
    ]
    longest = max(map(len, kinds))
    # In proportion: each kind is spread over the whole list.
    return sorted(
        (position / len(kind) + number / (longest * 100), *trial)
        for number, kind in enumerate(kinds)
        for position, trial in enumerate(kind)
    )


TRIALS = [trial for _, *trial in listed()]


@pytest.fixture(scope="session")
def undisturbed():
    return trials.reference(PLACE)


@pytest.mark.parametrize(("fault", "stage", "what"), TRIALS)
def test_nothing_is_lost_and_nothing_wrong(fault, stage, what, undisturbed):
    folder, pending = trials.folder_of(PLACE, fault)
    done = trials.read_record(RECORD) + trials.read_record(pending)
    if any((line["fault"], line["stage"], line["trial"]) == (fault, stage, what) for line in done):
        pytest.skip("in the record")
    seed = zlib.crc32(f"{fault} {stage} {what} {os.environ.get('SEED', 0)}".encode())
    print(f"seed {seed}")
    begun = time.monotonic()
    trial = Trial(undisturbed, folder, seed)
    outcomes = FAULTS[fault](trial, stage, what)
    if fault not in WHOLE:
        trial.check(stage)
    about = {
        **{"fault": fault, "stage": stage, "trial": what, "seed": seed, "tables": "identical"},
        **{"code": trials.code_version(), "seconds": round(time.monotonic() - begun, 1)},
    }
    lines = [
        {**about, "what": each, "tries": n, "outcome": came, **({"hit": hit[0]} if hit else {})}
        for each, n, came, *hit in outcomes
    ]
    trials.append(RECORD if fault in WHOLE else pending, lines)


@pytest.mark.parametrize("fault", sorted({fault for fault, *_ in TRIALS} - WHOLE))
def test_after_all_of_them_the_whole_study_is_that_of_an_undisturbed_one(fault, undisturbed):
    folder, pending = trials.folder_of(PLACE, fault)
    if not (lines := trials.read_record(pending)):
        pytest.skip("nothing was tried since")
    Trial(undisturbed, folder, seed=0).check_all()
    known = trials.read_record(RECORD)
    trials.append(RECORD, [line for line in lines if line not in known])
    pending.unlink()
    shutil.rmtree(folder)


def killed(trial, stage, _):
    trial.kill(stage, KILLS)
    return [(whom, times, "recovered") for whom, times in KILLS.items()]


def soaked(trial, *_):
    kills = trial.soak(share=0.3)
    trial.check_all()
    return [(whom, times, "recovered", stage) for (whom, stage), times in kills.items()]


def refused_by_a_stage(trial, stage, *texts):
    """The stage fails, and the console says so with these texts."""
    status, said = trial.study.attempt(*STAGES[stage]), trial.study.said()
    assert status, f"{stage} succeeded\n{said}"
    for text in texts:
        assert text in said, f"{text!r} is not said\n{said}"


def damaged(trial, stage, what):
    kind, how = what.split(": ")
    name, other, _ = FILES[kind]
    study, path = trial.study, trial.study.folder / RESULTS / name
    with trial.damaged(name, how, other):
        study.forget(stage)
        status, said = study.attempt(*STAGES[stage]), study.said()
        if not status:
            # A bit of an image that this job does not read is for a later one to notice.
            assert how in ("header", "middle", "end"), f"{stage} succeeded\n{said}"
            trial.check(stage)
            return [(what, 1, "what the job reads is whole")]
        for text in (f"{RESULTS}/{name}: ", "run the workflow again"):
            assert text in said, f"{text!r} is not said\n{said}"
        # What the message says to do.
        path.unlink()
        study.complete(f"{RESULTS}/{name}", *STAGES[stage])
    return [(what, 1, "error names the file")]


def full(trial, stage, _):
    if not trials.may_mount(trial.study.folder / "try"):
        pytest.skip("file systems cannot be mounted here")
    written = sum(
        path.stat().st_size
        for name in STAGES[stage]
        for path in [trial.study.folder / name]
        if path.is_file()
    )
    pages = trial.chance.randrange(0, max(1, int(0.7 * written) // 4096))
    with trial.small_disk(stage, free=4096 * pages) as make_room:
        refused_by_a_stage(trial, stage, "No space left on device")
        make_room()
        trial.study.complete(*STAGES[stage])
    return [("", 1, "error names the reason")]


def read_only(trial, stage, _):
    if not trials.may_mount(trial.study.folder / "try"):
        pytest.skip("file systems cannot be mounted here")
    with trial.small_disk(stage, free=None) as make_room:
        refused_by_a_stage(trial, stage, "Read-only file system")
        make_room()
        trial.study.complete(*STAGES[stage])
    return [("", 1, "error names the reason")]


def two_runs(trial, stage, _):
    study = trial.study
    study.forget(stage)
    first = study.start(*STAGES[stage])
    time.sleep(trial.chance.uniform(0, 8))
    second = trials.Study(study.folder)
    console = study.console.rename(study.folder / "first.txt")
    late = second.start(*STAGES[stage])
    ends = [run.wait(7200) for run in (first, late)]
    said = [console.read_text(encoding="utf-8"), second.said()]
    # Whichever came second is refused, or had nothing to do when the first was done.
    refused = [text for end, text in zip(ends, said, strict=True) if end]
    assert len(refused) <= 1, said
    for text in refused:
        assert "LockException" in text, text
    return [("", 1, "one is refused" if refused else "one after the other")]


def clock_back(trial, stage, what):
    study = trial.study
    study.forget(stage)
    if trials.FAKETIME:
        back = {"LD_PRELOAD": str(trials.FAKETIME), "FAKETIME": "-2d"}
        back["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        status = study.attempt(*STAGES[stage], env=back)
    else:
        # As seen by a clock that was set back: everything is of a time to come.
        with study.times_kept():
            for path in (study.folder / "results").rglob("*"):
                found = path.stat()
                later = 2 * 86400 * 10**9
                os.utime(path, ns=(found.st_atime_ns + later, found.st_mtime_ns + later))
            status = study.attempt(*STAGES[stage])
    if status:
        assert "clock skew" in study.said(), study.said()
        study.complete(*STAGES[stage])
    return [(what, 1, "error names the clock" if status else "recovered")]


def replaced(trial, stage, name):
    study = trial.study
    path = study.folder / RESULTS / name
    kept = study.folder / "kept"
    shutil.copy2(path, kept)
    study.forget(stage)
    run = study.start(*STAGES[stage])
    job = study.wait_for_job(run, stage)
    psutil.wait_procs([job], timeout=study.seconds_of(stage) * trial.chance.random())
    other = study.folder / "other"
    shutil.copy2(study.folder / RESULTS / REPLACED[stage][1], other)
    os.replace(other, path)
    status = run.wait(7200)
    if status:
        assert name in study.said(), study.said()
    # The right file comes back, as another one again.
    os.replace(kept, path)
    study.complete(*STAGES[stage])
    return [(name, 1, "error names the file" if status else "the old file was used")]


def without_locks(trial, stage, error):
    if not no_locks.available():
        pytest.skip("the kernel cannot take the locks away here")
    number = next(n for n in no_locks.ERRORS if trials.named_error(n) == error)
    trial.study.forget(stage)
    study = trial.study
    status = study.attempt(*STAGES[stage], preexec_fn=lambda: no_locks.take_locks_away(number))
    assert not status, study.said()
    path = study.folder / STAGES[stage][0]
    assert path.suffix != ".h5" or h5py.is_hdf5(path)
    return [(error, 1, "completed")]


def made_again(trial, _, what):
    if what == "another Python" and not OTHER_PYTHON.exists():
        pytest.skip("tests/other_python.sh makes .venv-other, which is not there")
    trial.make_again(**AGAIN[what])
    if what == "another Python":
        trial.check_numbers()
        return [(what, 1, "the same numbers")]
    trial.check_all()
    return [(what, 1, "the same bytes")]


FAULTS = {
    "made again": made_again,
    "kill -9": killed,
    "soak": soaked,
    "damaged file": damaged,
    "disk full": full,
    "read-only output": read_only,
    "two runs at once": two_runs,
    "clock set back": clock_back,
    "input replaced": replaced,
    "no file locks": without_locks,
}
