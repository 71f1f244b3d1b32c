"""A training shared by several processes is that of one process."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from gan_files import SETTINGS, arguments, write_training_set
from interruptions import child

from rarecxr.gan.checkpoint import read_checkpoint
from rarecxr.gan.distributed import ProcessGroup, connect
from rarecxr.gan.images import TrainingImages
from rarecxr.gan.layers import minibatch_stddev
from rarecxr.gan.networks import build_networks
from rarecxr.gan.trainer import Trainer
from rarecxr.gan.training import train_gan
from rarecxr.gan.workers import (
    WorkerError,
    WorkerTask,
    begin_worker,
    end_worker,
    start_workers,
)
from rarecxr.study.configuration.gan import GanSettings

CPU = torch.device("cpu")

# Two groups of four images a minibatch. With a large epsilon Adam's steps are smooth in the
# gradients, and rounding stays what it is.
SHARED = {**SETTINGS, "batch_size": 8, "epsilon": 1e-3, "learning_rate": 0.01}
ADA = {"kimg": 0.05, "interval": 1, "start_p": 0.3, "flip": True}
CASES = {
    "wgan-gp": {"loss": "wgan-gp"},
    "wgan-gp, ADA, labels": {
        "loss": "wgan-gp",
        "ada": ADA,
        "labels": True,
        "fresh_latents": False,
    },
    "r1, labels": {"loss": "r1", "labels": True, "n_critic": 2},
    "r1, ADA": {"loss": "r1", "ada": ADA, "fresh_latents": False, "group_size": 2},
}


def trained(changes, group=None):
    """A trainer after seven steps, the last four of which fade a resolution in."""
    changes = dict(changes)
    size = 3 if changes.pop("labels", False) else 0
    settings = GanSettings(**(SHARED | changes))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    levels = {
        side: torch.from_numpy(images[..., ::step, ::step]) for side, step in ((16, 1), (8, 2))
    }
    labels = random.choice([0, 1, np.nan], (20, 3), p=[0.3, 0.3, 0.4]).astype(np.float32)
    data = TrainingImages(levels, labels, ["a", "b", "c"][:size], CPU, seed=1)
    networks = build_networks(settings.plain(), size, seed=2)
    trainer = Trainer(settings, data, networks, 3, False, CPU)
    if group is not None:
        trainer.join(ProcessGroup(settings.group_size, group.rank, group.world_size))
    for _ in range(7):
        trainer.step()
    return trainer


TASK = WorkerTask("set.h5", None, {"resolution": 16}, False, 2**62, 1)


def work_on_cases():
    """What the worker process of the next tests does."""
    rank, _ = begin_worker()
    group = connect(rank)
    assert group.broadcast()["greeting"].tolist() == [1, 2, 3]
    for changes in CASES.values():
        trained(changes, group)
    end_worker()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The first rank's trainer of each case."""
    call = "from test_gan_distributed import work_on_cases; work_on_cases()"
    folder = tmp_path_factory.mktemp("workers")
    with start_workers(call, TASK, 4, 2, folder) as group:
        group.broadcast({"greeting": torch.tensor([1, 2, 3])})
        return {name: trained(changes, group) for name, changes in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(shared, case):
    alone = trained(CASES[case])
    wanted, found = alone.means.means(), shared[case].means.means()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    before = build_networks(alone.settings.plain(), alone.generator.label_size, seed=2)
    for name, first in zip(("generator", "critic"), before, strict=True):
        moved = 0.0
        rows = zip(
            getattr(shared[case], name).parameters(),
            getattr(alone, name).parameters(),
            first.parameters(),
            strict=True,
        )
        for together, weight, begin in rows:
            torch.testing.assert_close(together, weight, rtol=0, atol=1e-4)
            moved = max(moved, (weight - begin).abs().max().item())
        assert moved > 1e-2


@pytest.mark.parametrize(("size", "group", "count"), [(16, 4, 2), (16, 4, 4), (6, 2, 3), (8, 8, 1)])
def test_a_share_is_made_of_whole_groups(size, group, count):
    batch = torch.randn(size, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = minibatch_stddev(batch, group)
    ranks = [ProcessGroup(group, rank, count) for rank in range(count)]
    for rank in ranks:
        assert torch.equal(minibatch_stddev(rank.shard(batch), group), rank.shard(whole))
    # Every image is in one share.
    images = torch.arange(size)
    assert sorted(torch.cat([rank.shard(images) for rank in ranks]).tolist()) == images.tolist()


# Processes


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_training_set(tmp_path_factory.mktemp("images") / "training_set.h5")


def keywords(images, folder, **changes):
    return arguments(images, folder, batch_size=8, devices=2, **changes)


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """The bytes that an uninterrupted run on two devices gives."""
    folder = tmp_path_factory.mktemp("whole")
    train_gan(**keywords(images, folder))
    return (folder / "generator.pt").read_bytes()


def worker_of(process_id):
    """The process id of the one worker that a training process has started."""
    found = subprocess.run(
        ["pgrep", "-P", str(process_id), "-f", "run_worker"],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    (worker,) = map(int, found.stdout.split())
    return worker


def is_over(process_id, within_s=20.0):
    """Whether a process that is not our child ends within some seconds; a zombie has ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        state = subprocess.run(
            ["ps", "-o", "state=", "-p", str(process_id)],
            capture_output=True,
            text=True,
            encoding="utf-8",
        ).stdout.strip()
        if not state or state.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_two_devices_give_nearly_the_generator_of_one(images, whole, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together.pt"
    train_gan(**arguments(images, alone, batch_size=8))
    together.write_bytes(whole)
    wanted, found = read_checkpoint(alone / "generator.pt"), read_checkpoint(together)
    for name, weight in wanted["generator"].items():
        torch.testing.assert_close(found["generator"][name], weight, rtol=0, atol=2e-3)
    assert found["settings"]["devices"] == 2


def test_a_killed_run_leaves_no_worker_and_goes_on_to_the_byte(images, whole, tmp_path):
    run = keywords(images, tmp_path, resume_interval_s=0)
    process = child(train_gan, **run, on_tick=lambda trainer, row: time.sleep(0.3))
    while not list((tmp_path / "state").glob("resume_*.pt")):
        assert process.is_alive()
        time.sleep(0.01)
    worker = worker_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert is_over(worker)
    assert not (tmp_path / "generator.pt").exists()
    workers = set()

    def signal_all(trainer, row):
        # As a scheduler does, which knows nothing of workers.
        workers.add(worker_of(os.getpid()))
        for number in (signal.SIGTERM, signal.SIGURG, signal.SIGINT):
            os.kill(*workers, number)

    train_gan(**run, on_tick=signal_all)
    assert (tmp_path / "generator.pt").read_bytes() == whole
    assert is_over(*workers)


def test_a_dead_worker_ends_the_run_with_an_error_and_a_good_state(images, whole, tmp_path):
    def kill(trainer, row):
        if row["kimg"] > 0.04:
            os.kill(worker_of(os.getpid()), signal.SIGKILL)

    run = keywords(images, tmp_path, resume_interval_s=0)
    with pytest.raises(WorkerError, match=r"device 1 has died \(SIGKILL\)"):
        train_gan(**run, on_tick=kill)
    ticks = []
    train_gan(**run, on_tick=lambda trainer, row: ticks.append(row["kimg"]))
    assert ticks[0] > 0.04
    assert (tmp_path / "generator.pt").read_bytes() == whole


def test_an_error_of_the_first_process_ends_the_worker(images, tmp_path):
    workers = []

    def fail(trainer, row):
        workers.append(worker_of(os.getpid()))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_gan(**keywords(images, tmp_path), on_tick=fail)
    assert is_over(*workers, within_s=1)


def test_a_worker_that_does_not_start_is_an_error(tmp_path):
    with (
        pytest.raises(WorkerError, match=r"device 1 has died \(exit status 3\)"),
        start_workers("raise SystemExit(3)", TASK, 4, 2, tmp_path),
    ):
        pass


def die_once_connected():
    """What the worker process of the next test does."""
    rank, task = begin_worker()
    assert task == TASK
    connect(rank)
    os._exit(7)


def hang_with_a_worker(folder):
    call = "from test_gan_distributed import die_once_connected; die_once_connected()"
    with start_workers(call, TASK, 4, 2, folder, grace_s=0.1):
        # As an exchange of a GPU with a dead process does.
        time.sleep(600)


def test_a_process_that_hangs_on_a_dead_worker_is_ended(tmp_path):
    process = child(hang_with_a_worker, tmp_path)
    process.join(120)
    assert process.exitcode == 1
