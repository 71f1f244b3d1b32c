"""What `make progress` says of a study that has not begun, runs, failed, was killed or is over."""

import os
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from rarecxr.progress import summary
from rarecxr.progress.how_far import how_far
from rarecxr.progress.jobs import planned
from rarecxr.progress.snakemake_log import alive, newest_run, parse
from rarecxr.progress.summary import duration, lines, read_progress
from rarecxr.study.configuration_file import read_configuration
from rarecxr.study.plan import Plan

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 28, 0, 10, 0)
GAN = "train_gan/base/20/draw0/negatives"
RUN = "train_classifier/none/20/draw0/seed0"

# As Snakemake 9.27 writes it, with the lines that are not looked at left out in part.
BEGIN = f"""SNAKEMAKE
=========
  Date: 2026-11-27 23:58:08
  Host: {socket.gethostname()}
  Command: snakemake --cores 2

Building DAG of jobs...
Job stats:
job               count
--------------  -------
train_gan             1
train_classifier      1
total                 2

Select jobs to execute...
Execute 2 jobs...
[Sat Nov 28 00:00:00 2026]
localrule train_gan:
    input: results/demo/gan/base/20/draw0/negatives/training_set.h5
    output: results/demo/gan/base/20/draw0/negatives/generator.pt
    log: results/demo/logs/{GAN}.log
    jobid: 9
    benchmark: results/demo/benchmarks/{GAN}.tsv
    reason: Missing output files: results/demo/gan/base/20/draw0/negatives/generator.pt
    wildcards: recipe=base, fraction=20, draw=0, finding=negatives
[Sat Nov 28 00:04:00 2026]
rule train_classifier:
    output: results/demo/classifier/none/20/draw0/seed0/model.pt
    jobid: 12
    benchmark: results/demo/benchmarks/{RUN}.tsv
    resources: tmpdir=/tmp
"""
FINISHED = "[Sat Nov 28 00:05:00 2026]\nFinished jobid: 12 (Rule: train_classifier)\n"
FAILED = f"""[Sat Nov 28 00:05:00 2026]
Error in rule train_classifier:
    message: None
    jobid: 12
    output: results/demo/classifier/none/20/draw0/seed0/model.pt
    log: results/demo/logs/{RUN}.log (check log file(s) for error details)
"""
AGAIN = BEGIN[BEGIN.index("[Sat Nov 28 00:04") :].replace("00:04", "00:06")
OVER = "Complete log(s): .snakemake/log/2026-11-27T235808.535300.snakemake.log\n"


# A base GAN of 20 kimg, whatever the default is.
SCHEDULE = "gan: {stabilise_kimg: 3, fade_kimg: 2, final_kimg: 10}\n"


@pytest.fixture
def plan(tmp_path_factory):
    own = tmp_path_factory.mktemp("config") / "schedule.yaml"
    own.write_text(SCHEDULE, encoding="utf-8")
    return Plan(read_configuration(ROOT / "config/config.yaml", own))


def write_log(folder, text, name="2026-11-27T235808.535300"):
    path = folder / ".snakemake/log" / f"{name}.snakemake.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def finish(folder, name, seconds=60):
    path = folder / "results/demo/benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{seconds}\t0:01:00\t800.0\t100.0\t{seconds}"
    path.write_text(f"s\th:m:s\tmax_rss\tmean_load\tcpu_time\n{row}\n", encoding="utf-8")


def said(plan, folder):
    return "\n".join(lines(read_progress(plan, folder), NOW))


# The log


def test_jobs_that_were_started_and_have_not_ended_run(tmp_path):
    run = parse(tmp_path / "log", BEGIN, "results/demo")
    assert run.running == {GAN: datetime(2026, 11, 28), RUN: datetime(2026, 11, 28, 0, 4)}
    assert run.failed == []
    assert not run.ended
    assert parse(tmp_path / "log", BEGIN + FINISHED, "results/demo").running.keys() == {GAN}


def test_a_job_that_failed_does_not_run_and_one_that_was_started_again_does(tmp_path):
    run = parse(tmp_path / "log", BEGIN + FAILED, "results/demo")
    assert run.running.keys() == {GAN}
    assert run.failed == [RUN]
    run = parse(tmp_path / "log", BEGIN + FAILED + AGAIN, "results/demo")
    assert run.running[RUN] == datetime(2026, 11, 28, 0, 6)
    assert run.failed == []


def test_the_newest_log_that_is_of_this_study_and_no_dry_run_counts(tmp_path):
    wanted = write_log(tmp_path, BEGIN)
    write_log(tmp_path, BEGIN.replace("results/demo", "results/other"), "2026-11-28T000000.1")
    write_log(tmp_path, BEGIN + "This was a dry-run (flag -n).", "2026-11-28T000000.2")
    write_log(tmp_path, "Building DAG of jobs...\n", "2026-11-28T000000.3")
    assert newest_run(tmp_path, "results/demo").log == wanted
    assert newest_run(tmp_path, "results/dem") is None


def test_a_snakemake_that_was_killed_is_not_alive_and_one_elsewhere_may_be(tmp_path):
    run = parse(write_log(tmp_path, BEGIN), BEGIN, "results/demo")
    if Path("/proc").is_dir():
        assert alive(run, tmp_path) is False
        code = "import time; print('here', flush=True); time.sleep(60)"
        sleeper = [sys.executable, "-c", code, "snakemake"]
        with subprocess.Popen(sleeper, cwd=tmp_path, stdout=subprocess.PIPE) as process:
            try:
                process.stdout.readline()
                assert alive(run, tmp_path) is True
            finally:
                process.kill()
    run.host = "another"
    assert alive(run, tmp_path) is None
    run.ended = True
    assert alive(run, tmp_path) is False


# What is said


def test_a_study_that_has_not_begun(plan, tmp_path):
    text = said(plan, tmp_path)
    assert text.startswith("demo: has not begun, 0 of 52 jobs done")
    assert "left:" not in text


def test_a_study_that_is_half_done_and_runs(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "alive", lambda run, directory: True)
    write_log(tmp_path, BEGIN)
    state = tmp_path / "results/demo/state/gan/base/20/draw0/negatives"
    state.mkdir(parents=True)
    (state / "training.csv").write_text("kimg,resolution\n4,8\n5,16\n", encoding="utf-8")
    for job in planned(plan):
        if job.name not in (GAN, RUN):
            finish(tmp_path, job.name)
    text = said(plan, tmp_path)
    assert text.startswith("demo: running, 50 of 52 jobs done")
    assert "GANs                  5 of 6, 1 running" in text
    assert "train_gan base/20/draw0/negatives: 5 of 20 kimg (25 %), for 10 min" in text
    assert "train_classifier none/20/draw0/seed0: for 6 min" in text
    # A minute of each: three quarters of the GAN's, and the classifier is over its time.
    assert "left: about 22 s (45 s of jobs, 2 at a time)" in text


def test_time_is_at_least_where_no_job_of_a_rule_has_ended(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "alive", lambda run, directory: True)
    write_log(tmp_path, BEGIN)
    finish(tmp_path, "train_classifier/gan/20/draw0/seed0", 3600)
    text = said(plan, tmp_path)
    assert "left: at least" in text
    assert "not in it: 4 of make_bank, of which none has ended yet" in text
    assert "of train_classifier" not in text.split("left:")[1]


def test_a_study_that_is_finished(plan, tmp_path):
    write_log(tmp_path, BEGIN + FINISHED + OVER)
    for job in planned(plan):
        finish(tmp_path, job.name)
    text = said(plan, tmp_path)
    assert text.startswith("demo: finished, 52 of 52 jobs done")
    assert "now:" not in text
    assert "left:" not in text


def test_a_study_of_which_a_job_failed(plan, tmp_path):
    write_log(tmp_path, BEGIN + FAILED + OVER)
    text = said(plan, tmp_path)
    assert text.startswith("demo: failed, 0 of 52 jobs done")
    assert f"logs/{RUN}.log" in text
    assert "now:" not in text


def test_a_study_that_was_killed(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "alive", lambda run, directory: False)
    write_log(tmp_path, BEGIN)
    text = said(plan, tmp_path)
    assert text.startswith("demo: was interrupted")
    assert "running" not in text


def test_a_study_on_another_machine(plan, tmp_path):
    write_log(tmp_path, BEGIN.replace(socket.gethostname(), "login7"))
    text = said(plan, tmp_path)
    assert "on login7" in text
    assert "cannot be seen from this machine" in text
    assert "train_gan base/20/draw0/negatives: for 10 min" in text


def test_epochs_of_pretraining_and_of_training_count_together(plan, tmp_path):
    (job,) = (job for job in planned(plan) if job.name == RUN)
    log = tmp_path / f"logs/{RUN}.log"
    log.parent.mkdir(parents=True)
    epochs = [*range(1, 4), 1, 2]
    log.write_text(
        "".join(f"… INFO rarecxr.classifier.fitting: epoch {n}, images 5e+04\n" for n in epochs),
        encoding="utf-8",
    )
    most = plan.configuration.classifier.epochs
    assert how_far(plan, job, tmp_path) == (5 / most, f"5 of at most {most} epochs")


def test_a_resume_file_says_how_far_a_gan_is_before_its_first_row(plan, tmp_path):
    (job,) = (job for job in planned(plan) if job.name == GAN)
    assert how_far(plan, job, tmp_path) is None
    state = tmp_path / "state/gan/base/20/draw0/negatives"
    state.mkdir(parents=True)
    (state / "resume_0.pt").write_bytes(b'{"progress": 1000, "finished": false}\n\x00\xff')
    (state / "resume_1.pt").write_bytes(b"")
    assert how_far(plan, job, tmp_path) == (0.05, "1 of 20 kimg")


def test_nothing_is_written(plan, tmp_path):
    write_log(tmp_path, BEGIN)
    finish(tmp_path, GAN)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    command = [sys.executable, ROOT / "workflow/scripts/progress.py", "--directory", tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo: ")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (600, "10 min"), (6000, "1 h 40 min"), (400_000, "4.6 days")],
)
def test_times_in_words(seconds, text):
    assert duration(seconds) == text
