"""NVIDIA GPUs of this machine as its driver sees them, whether or not PyTorch can use them."""

import dataclasses
import os
import re
import subprocess
from pathlib import Path

# The oldest driver that runs programs built for any version of a CUDA family (NVIDIA, "Minor
# Version Compatibility", table 1).
OLDEST_DRIVER = {11: "450.80", 12: "525", 13: "580"}


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU: its product name, the driver's version, and the compute capability as in 8.6.

    What the driver does not say is None.
    """

    name: str
    driver: str | None
    capability: str | None
    memory_mb: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.name} (compute capability {self.capability or 'unknown'}, "
            f"driver {self.driver or 'unknown'})"
        )


class DriverError(RuntimeError):
    """NVIDIA's driver is installed and does not answer."""


def are_hidden() -> bool:
    """Whether somebody hid the GPUs from this process on purpose."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1", "NoDevFiles")


def installed_gpus(root: Path = Path("/")) -> list[Gpu]:
    """The GPUs that the driver lists; none where there is no GPU or no driver.

    Without NVIDIA's program `nvidia-smi` (some containers lack it) a device file that this process
    may open stands for a GPU.

    Args:
        root: of the file system.

    Raises:
        DriverError: the driver is installed and cannot be asked, with what it said.
    """
    try:
        rows = _ask("name,driver_version,compute_cap,memory.total")
    except FileNotFoundError:
        return _device_files(root)
    except ValueError:
        # Drivers before 470 do not know the compute capability.
        rows = [(*row[:2], None, row[2]) for row in _ask("name,driver_version,memory.total")]
    return [
        Gpu(name, driver, capability, int(memory) if memory.isdigit() else None)
        for name, driver, capability, memory in rows
    ]


def _ask(fields: str) -> list[tuple[str, ...]]:
    """One tuple of these fields a GPU, from `nvidia-smi`.

    Raises:
        FileNotFoundError: there is no such program.
        ValueError: the program does not know a field.
        DriverError: it failed.
    """
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=60
        )
    except PermissionError as error:
        raise FileNotFoundError(str(error)) from error
    except subprocess.TimeoutExpired:
        raise DriverError("nvidia-smi gave no answer for a minute") from None
    said = " ".join((done.stdout + done.stderr).split())
    if "not a valid field" in said:
        raise ValueError(said)
    if "No devices were found" in said:
        return []
    if done.returncode:
        raise DriverError(f"nvidia-smi failed: {said}")
    return [tuple(part.strip() for part in line.split(",")) for line in done.stdout.splitlines()]


def _device_files(root: Path) -> list[Gpu]:
    version = root / "proc/driver/nvidia/version"
    driver = None
    if version.is_file():
        found = re.search(r"Kernel Module\D*([\d.]+)", version.read_text(encoding="utf-8"))
        driver = found[1] if found else None
    gpus = []
    for path in sorted((root / "dev").glob("nvidia[0-9]*")):
        try:
            # A scheduler forbids those of other jobs.
            path.open("rb").close()
        except OSError:
            continue
        gpus.append(Gpu(f"NVIDIA GPU {path}", driver, None))
    return gpus


def driver_is_too_old(driver: str, cuda: str) -> bool:
    """Whether a driver as in 535.104.05 cannot run programs built for a CUDA as in 13.0."""
    oldest = OLDEST_DRIVER.get(int(cuda.split(".")[0]))
    return oldest is not None and _numbers(driver) < _numbers(oldest)


def runs_on(capability: str, built_for: list[str]) -> bool:
    """Whether code built for some architectures, as in sm_80 or compute_90, runs on a GPU.

    Machine code (sm) runs on GPUs of the same major version and no lower minor one, code that
    the driver still compiles (compute) on every newer GPU.
    """
    major, minor = _numbers(capability)
    for name in built_for:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", name)
        if not found:
            continue
        kind, other = found[1], [int(found[2]), int(found[3])]
        if other <= [major, minor] and (kind == "compute" or other[0] == major):
            return True
    return False


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
