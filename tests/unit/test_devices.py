"""Devices and precisions that settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rarecxr.core import devices, nvidia
from rarecxr.core.devices import choose_device, choose_devices, choose_precision
from rarecxr.core.nvidia import DriverError, Gpu

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
PASCAL = Gpu("NVIDIA GTX 1080", "580.65.06", "6.1")


@pytest.fixture
def machine(monkeypatch):
    """A function that pretends a machine: GPUs that PyTorch sees, and what the driver says."""

    # Which of a real machine's GPUs are ours is tested elsewhere.
    monkeypatch.setattr(devices, "take_gpus", lambda number: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def pretend(seen=0, capability=(9, 0), installed=(), cuda="13.0", reason="Found no driver"):
        def initialise():
            raise RuntimeError(f"{reason}\nand more lines")

        def ask():
            if isinstance(installed, Exception):
                raise installed
            return list(installed)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
        monkeypatch.setattr(torch.cuda, "init", initialise)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "NVIDIA Example")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90"])
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(nvidia, "installed_gpus", ask)

    return pretend


def test_auto_is_a_gpu_where_there_is_one(machine):
    machine(seen=0)
    assert choose_device("auto").type == "cpu"
    machine(seen=1)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_a_gpu_that_is_not_there_is_an_error(machine):
    machine(seen=0)
    with pytest.raises(ValueError, match="device: got cuda, and torch sees no GPU"):
        choose_device("cuda")


def test_a_machine_without_a_gpu_is_no_reason_for_a_warning(machine, caplog):
    machine(seen=0)
    choose_device("auto")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("pretended", "reasons"),
    [
        (
            {"installed": [Gpu("NVIDIA A40", "535.104.05", "8.6")]},
            ["NVIDIA A40 (compute capability 8.6, driver 535.104.05)", "needs driver 580 or newer"],
        ),
        (
            {"installed": [PASCAL], "cuda": None},
            ["GTX 1080", "the build for the CPU alone"],
        ),
        (
            {"installed": [Gpu("NVIDIA A40", "580.65", "8.6")], "reason": "CUDA unknown error"},
            ["driver 580.65", "CUDA 13.0", "CUDA unknown error"],
        ),
        (
            {"seen": 1, "capability": (6, 1)},
            ["compute capability 6.1", "sm_75, sm_80, sm_90 alone", "CUDA 12.9"],
        ),
        (
            {"installed": DriverError("nvidia-smi failed: version mismatch")},
            ["does not answer", "version mismatch"],
        ),
    ],
    ids=["old driver", "CPU build", "unknown", "old GPU", "broken driver"],
)
def test_a_gpu_that_cannot_be_used_is_said_loudly(machine, caplog, pretended, reasons):
    machine(**pretended)
    assert choose_device("auto").type == "cpu"
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    for reason in [*reasons, "This job computes on the CPU", "device: cpu"]:
        assert reason in warning
    assert "more lines" not in warning
    with pytest.raises(ValueError, match="device: got cuda, and ") as error:
        choose_device("cuda")
    for reason in reasons:
        assert reason in str(error.value)


def test_a_gpu_that_is_hidden_on_purpose_is_not_missed(machine, caplog, monkeypatch):
    machine(installed=[PASCAL])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    choose_device("auto")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_who_asks_for_the_cpu_is_not_warned(machine, caplog):
    machine(installed=[PASCAL])
    choose_device("cpu")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_the_log_names_the_device(machine, caplog):
    caplog.set_level("INFO")
    machine(seen=1, capability=(8, 0))
    choose_device("auto")
    assert "device: NVIDIA Example, compute capability 8.0" in caplog.text
    caplog.clear()
    choose_device("cpu")
    assert "device: CPU (" in caplog.text


def test_several_devices_are_the_first_gpus(machine):
    machine(seen=3)
    assert choose_devices("auto", 2) == [torch.device("cuda:0"), torch.device("cuda:1")]
    assert choose_devices("cpu", 2) == [torch.device("cpu")] * 2


def test_fewer_gpus_than_asked_for_are_an_error(machine):
    machine(seen=2)
    with pytest.raises(ValueError, match=r"devices: got 4, and torch sees 2 GPU\(s\) here"):
        choose_devices("auto", 4)


def test_a_precision_that_is_named_is_taken():
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")


class Study:
    """A study whose jobs run on machines with and without bf16, each as a process of its own."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.patch = folder, monkeypatch
        self.said = []
        monkeypatch.setattr(devices, "warn_loudly", self.said.append)
        # Set back at the end of the test.
        monkeypatch.setattr(devices, "_study", None)

    def job(self, bf16, setting="auto"):
        self.patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        devices._settled_precision.cache_clear()
        devices.keep_precision_in(self.folder)
        return choose_precision(setting, torch.device("cpu"))


@pytest.fixture
def study(tmp_path, monkeypatch):
    yield Study(tmp_path / "precision", monkeypatch)
    devices._settled_precision.cache_clear()


@pytest.mark.parametrize(("first", "settled"), [(True, "bf16"), (False, "fp32")])
def test_the_first_job_settles_for_the_whole_study_what_auto_is(study, first, settled):
    assert study.job(bf16=first) == settled
    assert not study.said
    assert study.job(bf16=not first) == settled
    [line] = study.said
    other = {"bf16": "fp32", "fp32": "bf16"}[settled]
    assert f"precision auto is {settled} in this study" in line
    assert str(study.folder / "cpu.json") in line
    assert f"{other} would be the faster one" in line
    assert study.job(bf16=first) == settled
    assert len(study.said) == 1


def test_a_precision_that_is_given_settles_nothing(study):
    study.job(bf16=True, setting="fp32")
    assert not study.folder.exists()
    assert study.job(bf16=True) == "bf16"
    assert study.job(bf16=True, setting="fp32") == "fp32"


def test_a_settled_precision_that_cannot_be_read_is_refused_with_what_to_do(study):
    study.folder.mkdir()
    path = study.folder / "cpu.json"
    path.write_text('{"precision": "fp16", "device": "x"}', encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"cpu\.json: precision: got 'fp16'; takes bf16 or fp32\. Rem"
    ):
        study.job(bf16=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cpu\.json: damaged"):
        study.job(bf16=True)


def test_jobs_that_begin_at_once_settle_on_one_precision(study):
    """Half of these processes have bf16: whichever is first, all compute the same."""
    code = (
        "import sys, torch; from rarecxr.core import devices\n"
        "torch.cpu._is_avx512_bf16_supported = lambda: sys.argv[1] == '1'\n"
        "devices.keep_precision_in(sys.argv[2]); sys.stdin.readline()\n"
        "print(devices.choose_precision('auto', torch.device('cpu')))"
    )
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number % 2), str(study.folder)],
            env={**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        for number in range(4)
    ]
    for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
    settled = {job.communicate()[0].strip() for job in jobs}
    assert len(settled) == 1
    assert sorted(path.name for path in study.folder.iterdir()) == [".cpu.json.sha256", "cpu.json"]
    assert settled < {"bf16", "fp32"}
