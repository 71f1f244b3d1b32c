"""Where a network runs and with how many bits it computes."""

import contextlib
import functools
import logging
import os
import platform
from pathlib import Path

import torch

from rarecxr.core import nvidia
from rarecxr.core.gpu_locks import take_gpus
from rarecxr.core.job_log import warn_loudly
from rarecxr.core.json_file import read_json, write_json
from rarecxr.core.locks import locked

log = logging.getLogger(__name__)

# Where the precision that stands for `auto` in this study is kept; None outside of studies.
_study: Path | None = None
# Seconds in which another job has certainly written a line there.
_PATIENCE_S = 120.0


def choose_device(device: str, number: int = 1) -> torch.device:
    """The device of a setting: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    On a machine with more GPUs than this, `number` of them become this process's own. The log names
    the device; a GPU that `auto` cannot use is said at the terminal too.

    Raises:
        ValueError: CUDA is asked for and there is none that PyTorch can use.
    """
    if device == "cpu":
        return _named(torch.device("cpu"))
    take_gpus(number)
    trouble = unusable_gpu()
    if torch.cuda.is_available() and trouble is None:
        return _named(torch.device("cuda"))
    if device == "cuda":
        raise ValueError(
            f"device: got cuda, and {trouble or 'torch sees no GPU here'}; give auto or cpu"
        )
    if trouble:
        warn_loudly(
            f"device: got auto, and {trouble}. This job computes on the CPU, which takes many "
            "times as long. Give device: cpu if that is meant."
        )
    return _named(torch.device("cpu"))


def unusable_gpu() -> str | None:
    """Why PyTorch cannot compute on a GPU that is here, and what to do.

    None where it can, where there is no GPU, and where GPUs are hidden on purpose.
    """
    if nvidia.are_hidden():
        return None
    build = f"PyTorch {torch.__version__}"
    if torch.cuda.is_available():
        # AMD's build names architectures of its own.
        return _too_old_for(build) if torch.version.cuda else None
    try:
        gpus = nvidia.installed_gpus()
    except nvidia.DriverError as error:
        return (
            f"this machine has NVIDIA's driver, which does not answer ({error}): restart or mend it"
        )
    if not gpus:
        return None
    here = f"PyTorch cannot use the GPU of this machine, {gpus[0]}"
    cuda = torch.version.cuda
    if cuda is None:
        return (
            f"{here}: {build} is the build for the CPU alone. Set up again on this machine (README)"
        )
    if gpus[0].driver and nvidia.driver_is_too_old(gpus[0].driver, cuda):
        oldest = nvidia.OLDEST_DRIVER[int(cuda.split(".")[0])]
        return (
            f"{here}: {build} is built for CUDA {cuda}, which needs driver {oldest} or newer. "
            "Update the driver, or use conda's build for CUDA 12.9 (envs/README.md)"
        )
    try:
        torch.cuda.init()
        reason = "torch.cuda.is_available() is false"
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
    return f"{here}, with {build} built for CUDA {cuda}: {reason}"


def _too_old_for(build: str) -> str | None:
    """The same for a GPU that PyTorch sees but has no code for."""
    architectures = torch.cuda.get_arch_list()
    for number in range(torch.cuda.device_count()):
        capability = "{}.{}".format(*torch.cuda.get_device_capability(number))
        if not nvidia.runs_on(capability, architectures):
            return (
                f"PyTorch cannot use the GPU of this machine, {torch.cuda.get_device_name(number)} "
                f"(compute capability {capability}): {build}, built for CUDA {torch.version.cuda}, "
                f"holds code for {', '.join(architectures)} alone. Use conda's build for CUDA 12.9 "
                "(envs/README.md), which serves older GPUs"
            )
    return None


def _named(device: torch.device) -> torch.device:
    """The same device, after the log has named it."""
    if device.type == "cuda":
        capability = "{}.{}".format(*torch.cuda.get_device_capability(device))
        log.info(
            "device: %s, compute capability %s, PyTorch %s for CUDA %s",
            _name_of(device),
            capability,
            torch.__version__,
            torch.version.cuda,
        )
    else:
        log.info("device: CPU (%s), PyTorch %s", _name_of(device), torch.__version__)
    return device


def _name_of(device: torch.device) -> str:
    """A GPU's or the processor's name; its architecture where the system does not say more."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def choose_devices(device: str, count: int) -> list[torch.device]:
    """`count` devices of a setting as in `choose_device`: GPUs, or the CPU `count` times.

    Raises:
        ValueError: there are fewer GPUs.
    """
    chosen = choose_device(device, count)
    if chosen.type == "cpu" or count == 1:
        return [chosen] * count
    visible = torch.cuda.device_count()
    if visible < count:
        raise ValueError(
            f"devices: got {count}, and torch sees {visible} GPU(s) here; give {visible} or fewer, "
            "or let the job have more"
        )
    return [torch.device("cuda", number) for number in range(count)]


def keep_precision_in(folder: str | os.PathLike) -> None:
    """From now on `auto` is what the study of this folder has settled on, or settles on now.

    The first job that computes on a kind of device (`cpu` or `cuda`) with precision `auto` writes
    {kind}.json there, and all later ones read it: nodes with and without bf16 would otherwise
    train a study's networks at two precisions.
    """
    global _study
    _study = Path(folder)


def choose_precision(precision: str, device: torch.device) -> str:
    """The precision of a setting: `fp32`, `bf16`, or `auto` for bf16 where the device has it.

    A processor without bf16 instructions imitates them and is slower for it. `auto` is settled once
    for a study, see `keep_precision_in`; another device than the first is named at the terminal.

    Raises:
        ValueError: what the study has settled on cannot be read, or this device cannot compute so.
    """
    if precision != "auto":
        return precision
    if _study is None:
        return _fastest_precision(device)
    return _settled_precision(_study / f"{device.type}.json", device)


def _fastest_precision(device: torch.device) -> str:
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "fp32"


# Once a job: it warns.
@functools.lru_cache
def _settled_precision(path: Path, device: torch.device) -> str:
    own = _fastest_precision(device)
    if not path.exists():
        lock = path.with_name("lock")
        with locked(lock, _PATIENCE_S, "another job settles the precision"):
            if not path.exists():
                write_json(path, {"precision": own, "device": _name_of(device)})
            lock.unlink(missing_ok=True)
    settled = read_json(path, ["precision", "device"])
    precision = settled["precision"]
    if precision not in ("bf16", "fp32"):
        raise ValueError(
            f"{path}: precision: got {precision!r}; takes bf16 or fp32. Remove the file if the "
            "study's next job is to settle it anew"
        )
    if precision != own:
        warn_loudly(
            f"precision auto is {precision} in this study ({path}, settled on "
            f"{settled['device']}), and {own} would be the faster one on {_name_of(device)}: this "
            f"job computes in {precision}, as all others do"
        )
    return precision


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """A block in which a network computes in bf16 (weights and statistics stay float32)."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy of a CPU tensor on the device, without waiting for what the device still has to do."""
    if device.type == "cuda":
        # Only a copy from pinned memory leaves the host free.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
