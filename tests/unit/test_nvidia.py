"""What the driver says of this machine's GPUs, asked of stand-ins for NVIDIA's program."""

import os

import pytest

from rarecxr.core.nvidia import (
    DriverError,
    Gpu,
    are_hidden,
    driver_is_too_old,
    installed_gpus,
    runs_on,
)


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A function that puts a program of this name on the path, with a text of /bin/sh."""

    def install(text):
        program = tmp_path / "bin/nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


def test_each_gpu_has_name_driver_capability_and_memory(nvidia_smi):
    nvidia_smi(
        "echo 'NVIDIA A40, 535.104.05, 8.6, 46068'; echo 'Tesla V100, 535.104.05, 7.0, 16384'"
    )
    assert installed_gpus() == [
        Gpu("NVIDIA A40", "535.104.05", "8.6", 46068),
        Gpu("Tesla V100", "535.104.05", "7.0", 16384),
    ]


def test_an_old_driver_that_does_not_know_the_capability_is_asked_for_the_rest(nvidia_smi):
    nvidia_smi(
        'case "$1" in *compute_cap*) echo \'Field "compute_cap" is not a valid field to query.\';'
        " exit 2;; esac; echo 'Tesla K80, 418.87, 11441'"
    )
    assert installed_gpus() == [Gpu("Tesla K80", "418.87", None, 11441)]


def test_no_gpu_is_no_error_and_a_broken_driver_is_one(nvidia_smi, tmp_path):
    nvidia_smi("echo 'No devices were found'; exit 6")
    assert installed_gpus() == []
    (tmp_path / "bin/nvidia-smi").write_text(
        "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n",
        encoding="utf-8",
    )
    with pytest.raises(DriverError, match="nvidia-smi failed: Failed to initialize NVML"):
        installed_gpus()


def test_without_the_program_a_device_file_stands_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_gpus(tmp_path) == []
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "dev/nvidiactl").touch()
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15 UTC 2023\n",
        encoding="utf-8",
    )
    (gpu,) = installed_gpus(tmp_path)
    assert gpu.driver == "535.104.05"
    assert gpu.name.endswith("dev/nvidia0")


@pytest.mark.parametrize(
    ("driver", "cuda", "old"),
    [
        ("535.104.05", "13.0", True),
        ("580.65.06", "13.0", False),
        ("1000.1", "13.0", False),
        ("525.60.13", "12.9", False),
        ("470.82", "12.6", True),
        # No statement on a family that is not known yet.
        ("580.65", "14.0", False),
    ],
)
def test_a_driver_serves_the_cuda_families_up_to_its_own(driver, cuda, old):
    assert driver_is_too_old(driver, cuda) == old


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ("8.6", ["sm_80"], True),
        ("8.0", ["sm_86"], False),
        ("7.0", ["sm_75", "sm_80"], False),
        ("9.0", ["sm_80"], False),
        ("9.0", ["sm_80", "compute_80"], True),
        ("12.0", ["sm_120"], True),
        ("12.1", ["sm_90", "sm_120"], True),
        ("9.0", ["sm_90a"], True),
        ("10.0", [], False),
    ],
)
def test_machine_code_serves_its_major_version_and_compilable_code_all_later_ones(
    capability, built_for, runs
):
    assert runs_on(capability, built_for) == runs


@pytest.mark.parametrize(
    ("value", "hidden"), [(None, False), ("", True), ("-1", True), ("0", False), ("GPU-aa", False)]
)
def test_gpus_can_be_hidden_on_purpose(monkeypatch, value, hidden):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert are_hidden() == hidden
