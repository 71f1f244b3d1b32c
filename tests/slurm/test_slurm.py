"""The tiny study on a real SLURM: what jobs ask for, and trainings that are cut off."""

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml
from cluster import Cluster, obstacle
from house import House, make_real_images

from rarecxr.study.configuration.jobs import ByRule

ROOT = Path(__file__).parents[2]
IMPATIENT = Path(__file__).with_name("impatient.py")
REASON = obstacle()
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"no SLURM for this test: {REASON}"),
    pytest.mark.timeout(1500),
]

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
RULES = ("default", *ByRule.KEYS)
# Of the study below. A process that trains takes 1 GB, a GAN has two of them, and Snakemake in the
# job takes 300 MB.
TORCH = (
    "train_features",
    "train_gan",
    "make_bank",
    "measure_bank",
    "measure_filters",
    "pretrain_classifier",
    "train_classifier",
    "explain_classifiers",
    "predict_external",
)
TORCH_MB = dict.fromkeys(TORCH, 2999)
MEMORY_MB = {**dict.fromkeys(RULES, 1500), **TORCH_MB}
MINUTES = {**dict.fromkeys(RULES, 4), "cache_pixels": 6, "train_gan": 5}
SECONDS = 700


class Study:
    """A private copy of the workflow whose jobs run on the cluster."""

    def __init__(self, house: House, cluster: Cluster):
        self.house = house
        self.cluster = cluster
        self.results = house.folder / "results/slurm"
        self.halted = []
        self.process = None

    @classmethod
    def build(cls, folder: Path, cluster: Cluster) -> "Study":
        house = House.build(folder)
        # What a site changes in its copy of the profile.
        house.edit("profiles/slurm/config.yaml", "# slurm_account: mylab", "slurm_account: lab")
        house.edit("profiles/slurm/config.yaml", "# gpu_model: a100", "gpu_model: a100")
        make_real_images(house)
        house.configure(
            study="slurm",
            dataset__fractions=[100],
            classifier__arms=["none", "filtered_gan"],
            classifier__pixel_memory_mib=0,
            features__pixel_memory_mib=0,
            jobs={"memory_mb": MEMORY_MB, "minutes": MINUTES},
            # Long enough to be cut off several times.
            gan__final_kimg=20,
            gan__finetune_kimg=14,
            gan__tick_kimg=5,
            gan__resume_interval_s=0.5,
            # Two processes in one task that ask for two GPUs.
            gan__devices=2,
            # Fewer minutes; nothing of it is another on a cluster.
            gan__evaluation=None,
            quality__spaces=["pixels"],
            # A GPU is asked for, and there is none behind it.
            **{
                f"{section}__device": "auto"
                for section in ("features", "gan", "bank", "quality", "classifier")
            },
        )
        return cls(house, cluster)

    def command(self, *arguments: str) -> list[str]:
        """The profile, with a test's patience in place of a cluster's."""
        return [
            *(sys.executable, str(IMPATIENT), "--workflow-profile", "profiles/slurm"),
            *("--configfile", "study.yaml"),
            *("--slurm-init-seconds-before-status-checks", "1"),
            *("--max-status-checks-per-second", "1", "--latency-wait", "10"),
            *arguments,
        ]

    @contextlib.contextmanager
    def running(self, *arguments: str):
        """Snakemake at work while the block lasts; ended with it. Its output is in `output.txt`."""
        with open(self.house.folder / "output.txt", "a", encoding="utf-8") as output:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.house.folder,
                env=self.cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            self.process = process
            try:
                yield process
            finally:
                process.kill()
                process.wait()
                self.process = None

    def run(self, *arguments: str, seconds: float = SECONDS) -> tuple[int, str]:
        """Exit status and output of Snakemake."""
        with self.running(*arguments) as process:
            self.wait(lambda: process.poll() is not None, "Snakemake's end", seconds)
        return process.returncode, self.output()

    def output(self) -> str:
        """All that Snakemake has said so far."""
        return (self.house.folder / "output.txt").read_text(encoding="utf-8")

    def wait(self, ready, what: str, seconds: float = SECONDS):
        """What `ready()` returns as soon as it is true.

        Requeued jobs need not wait for their two minutes.
        """
        end = time.monotonic() + seconds
        while not (result := ready()):
            if self.process is not None and self.process.poll() is not None:
                # Nothing more will come, but what came while we looked.
                end = 0
                if result := ready():
                    break
            if time.monotonic() > end:
                queue = self.cluster.ask("squeue", "-o", "%i %T %r %k")
                raise AssertionError(f"no {what}\n{queue}\n{self.output()[-8000:]}")
            for line in self.cluster.ask("squeue", "-h", "-o", "%i %t %r").splitlines():
                job, state, reason = line.split(" ", 2)
                if (state, reason) == ("PD", "BeginTime"):
                    self.cluster.ask("scontrol", "update", f"JobId={job}", "StartTime=now")
            time.sleep(0.3)
        return result

    def jobs(self) -> list[dict[str, str]]:
        """All jobs of this study that SLURM knows of, oldest first."""
        fields = "JobID,Comment,Partition,Account,ReqTRES,Timelimit,State,WorkDir"
        text = self.cluster.ask("sacct", "-X", "-P", "-S", "now-2hours", "-o", fields)
        rows = csv.DictReader(io.StringIO(text), delimiter="|")
        return [row for row in rows if row["WorkDir"] == str(self.house.folder)]

    def training(self, finding: str) -> tuple[int, psutil.Process, int] | None:
        """A training that has saved its state since it began: job, process and images.

        Not one that was halted: it may have some seconds left when it is woken to be ended.
        """
        for process in psutil.process_iter(["cmdline", "environ", "create_time", "cwd"]):
            about = process.info
            words, environment = about["cmdline"] or [], about["environ"] or {}
            ours = about["cwd"] == str(self.house.folder) and process not in self.halted
            # Not the shell that it was started from.
            if not ours or len(words) != 2 or not words[1].endswith("train_gan.py"):
                continue
            saved = [
                images_shown(path)
                for path in (self.results / "state/gan").glob(f"*/100/draw0/{finding}/resume_*.pt")
                if path.stat().st_mtime > about["create_time"]
            ]
            if saved and "SLURM_JOB_ID" in environment:
                return int(environment["SLURM_JOB_ID"]), process, max(saved)
        return None

    def held_training(self, finding: str, after: int) -> tuple[int, int]:
        """The same, halted: job and images.

        SLURM wakes it with the signal that announces its end, and would let it train for seconds
        of grace, which on an idle machine are enough to finish. So it is put to sleep again.
        """
        job, process, shown = self.wait(
            lambda: self.training(finding), f"training of {finding} beyond {after} images"
        )
        assert shown > after
        self.halted.append(process)
        threading.Thread(target=keep_halted, args=(process,), daemon=True).start()
        return job, shown


def keep_halted(process: psutil.Process) -> None:
    """Sends it to sleep whenever it wakes, until it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if process.status() != psutil.STATUS_STOPPED:
                process.suspend()
            time.sleep(0.02)


def images_shown(path: Path) -> int:
    """The progress that the first line of a resume file tells of."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.readline())["progress"]
    except (OSError, ValueError):
        return 0


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    cluster = Cluster(folder, kill_wait_s=3, grace_s=4)
    try:
        # A machine without SLURM was told apart above: not to start here is a fault.
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(cluster, tmp_path_factory):
    """The study, run to its end through the profile."""
    study = Study.build(tmp_path_factory.mktemp("slurm") / "with space", cluster)
    status, output = study.run()
    assert status == 0, output[-8000:]
    return study


def test_the_study_comes_to_its_report(undisturbed):
    table = (undisturbed.results / "report/summary.txt").read_text(encoding="utf-8")
    assert "filtered_gan" in table
    assert table in undisturbed.output()
    assert (undisturbed.results / "report/index.html").exists()


def test_jobs_get_what_the_profile_and_the_configuration_say(undisturbed):
    with_gpu = PROFILE["set-resources"]
    jobs = undisturbed.jobs()
    seen = {rule for rule in RULES for job in jobs if rule in job["Comment"]}
    assert seen >= {
        "index_images",
        "decode_images",
        "cache_pixels",
        "make_training_set",
        "train_gan",
    }
    assert seen >= {"make_bank", "measure_bank", "train_classifier", "evaluate", "make_report"}
    for rule in seen:
        for job in [job for job in jobs if rule in job["Comment"]]:
            asked = dict(part.split("=") for part in job["ReqTRES"].split(","))
            assert job["State"] == "COMPLETED"
            assert job["Account"] == "lab"
            assert job["Partition"] == with_gpu.get(rule, {}).get("slurm_partition", "cpu")
            gpus = {"train_gan": "2"}.get(rule, "1") if rule in with_gpu else None
            assert asked.get("gres/gpu") == gpus
            # The profile names the kind for trainings of GANs alone.
            assert asked.get("gres/gpu:a100") == (gpus if rule == "train_gan" else None)
            if rule in PROFILE["groups"]:
                # As many of a group as run at a time, one level after the other.
                assert asked["mem"] in ("1500M", "3000M")
                assert job["Timelimit"] in ("00:08:00", "00:12:00")
            else:
                assert asked["mem"] == f"{MEMORY_MB[rule]}M"
                assert job["Timelimit"] == f"00:{MINUTES[rule]:02}:00"


def test_rules_of_seconds_share_a_job(undisturbed):
    names = [job["Comment"] for job in undisturbed.jobs()]
    assert len([name for name in names if "index_images" in name]) == 1
    assert [name for name in names if "index_images" in name and "split_patients" in name]
    assert [name for name in names if "evaluate" in name and "make_report" in name]


@pytest.fixture(scope="module")
def disturbed(undisturbed, cluster):
    """The same study again, from its training sets on, with all that may happen on a cluster."""
    folder = undisturbed.house.folder.with_name("disturbed")
    study = Study(undisturbed.house.copy(folder), cluster)
    for name in ("gan", "bank", "state", "classifier/filtered_gan", "report"):
        shutil.rmtree(study.results / name)
    (folder / "output.txt").unlink()
    study.house.configure(jobs__minutes__train_gan=1)
    study.progress = []

    with study.running() as snakemake:
        job, shown = study.held_training("negatives", 0)
        study.progress.append(shown)
        cluster.ask("scontrol", "requeue", str(job))

        job, shown = study.held_training("negatives", shown)
        study.progress.append(shown)
        cluster.ask(
            "sbatch",
            "-o",
            "/dev/null",
            "-p",
            "urgent",
            "-n",
            "1",
            "-c",
            "16",
            "--mem=100",
            "--wrap",
            "true",
        )

        job, shown = study.held_training("negatives", shown)
        study.progress.append(shown)
        study.requeued = [number for number in restarts(cluster) if number[0] == job]
        snakemake.kill()

    run = re.search(r"SLURM run ID: (\S+)", study.output())[1]
    cluster.ask("scancel", "--name", run)
    study.wait(lambda: not cluster.ask("squeue", "-h"), "empty queue")
    subprocess.run(
        study.command("--unlock"),
        cwd=folder,
        env=cluster.environment,
        check=True,
        capture_output=True,
    )

    with study.running() as snakemake:
        # Asleep until its minute is over.
        job, shown = study.held_training("lung_lesion", 0)
        study.progress.append(shown)

        job, shown = study.held_training("lung_lesion", shown)
        study.progress.append(shown)
        cluster.ask("scancel", str(job))
        study.wait(lambda: snakemake.poll() is not None, "Snakemake's end")
    assert snakemake.returncode == 0, study.output()[-8000:]
    return study


def restarts(cluster):
    """Job and number of its restarts, of every job in the queue."""
    text = cluster.ask("scontrol", "-o", "show", "job")
    return [
        (int(job), int(count))
        for job, count in re.findall(r"^JobId=(\d+) .* Restarts=(\d+) ", text, re.M)
    ]


@pytest.mark.long
def test_a_training_that_is_cut_off_goes_on_where_it_was(disturbed):
    base, finding = disturbed.progress[:3], disturbed.progress[3:]
    assert base == sorted(set(base))
    assert finding == sorted(set(finding))
    assert [count for _, count in disturbed.requeued] == [2]
    for place in ("base/100/draw0/negatives", "filtered/100/draw0/lung_lesion"):
        log = (disturbed.results / f"logs/train_gan/{place}.log").read_text(encoding="utf-8")
        assert float(re.search(r"going on at ([\d.]+) kimg", log)[1]) > 0


@pytest.mark.long
def test_the_results_are_those_of_the_undisturbed_study(disturbed, undisturbed):
    compared = 0
    for name in ("gan", "bank", "classifier", "report"):
        for path in sorted((undisturbed.results / name).rglob("*")):
            again = disturbed.results / path.relative_to(undisturbed.results)
            if path.name == "training.csv":
                # Without the last column, the only clock in a result.
                lines = [p.read_text(encoding="utf-8").splitlines() for p in (path, again)]
                first, second = ([line.rsplit(",", 1)[0] for line in part] for part in lines)
                assert first == second
            elif path.name in ("index.html", ".training.csv.sha256") or path.match(
                "figures/training_*"
            ):
                # They show that clock too.
                continue
            elif path.is_file():
                assert path.read_bytes() == again.read_bytes(), path
                compared += 1
    assert compared > 20


@pytest.mark.long
def test_a_second_attempt_asks_for_twice_as_much(disturbed):
    attempts = [job for job in disturbed.jobs() if "train_gan_wildcards_filtered" in job["Comment"]]
    assert [job["State"].split()[0] for job in attempts] == ["TIMEOUT", "CANCELLED", "COMPLETED"]
    assert [job["Timelimit"] for job in attempts] == ["00:01:00", "00:02:00", "00:03:00"]
    memory = [re.search(r"mem=([\dMG.]+)", job["ReqTRES"])[1] for job in attempts]
    assert memory == ["2999M", "5998M", "8997M"]


@pytest.mark.long
def test_the_workflow_killed_and_started_again_repeats_no_finished_job(disturbed):
    finished = [job["Comment"] for job in disturbed.jobs() if job["State"] == "COMPLETED"]
    assert len(finished) > 5
    assert len(finished) == len(set(finished))
    assert not [name for name in finished if "cache_pixels" in name]


def test_the_error_and_log_of_a_failing_job_reach_the_user(undisturbed, cluster, tmp_path):
    study = Study(House.build(tmp_path / "failing"), cluster)
    shutil.copytree(undisturbed.house.folder / "data", study.house.folder / "data")
    shutil.copy(undisturbed.house.folder / "study.yaml", study.house.folder)
    image = next((study.house.folder / "data").rglob("view1_frontal.jpg"))
    image.write_text("an HTML page, say", encoding="utf-8")
    status, output = study.run("--retries", "0", "results/slurm/dataset/pixels_32.h5")
    assert status != 0
    assert "Error in rule decode_images" in output
    assert "images are missing or unreadable, more than dataset.max_rejected" in output
    assert f"{image.relative_to(study.house.folder / 'data/Phantom-v1.0-small')}: neither" in output
    assert "results/slurm/logs/decode_images/0.log" in output
    log = re.search(r"\S+/slurm_logs/rule_decode_images/0/\d+\.log", output)[0]
    assert "Error in rule decode_images" in Path(log).read_text(encoding="utf-8")
