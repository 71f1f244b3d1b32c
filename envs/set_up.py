"""Makes .venv from the lock file, every package checked by its digest: what `make setup` runs.

It needs nothing but Python 3.11 to 3.13. What was made is noted in .venv/.complete when all is
done: a second call does nothing; a changed lock file, another device or an interrupted call starts
over.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 13))
# Wheels of PyTorch and of PyArrow ask for it (manylinux_2_28).
OLDEST_GLIBC = (2, 28)
# What the environment takes on disk, in GB, with room for the downloads.
DISK_GB = {"cuda": 8, "cpu": 3}
# PyTorch itself, and what its CUDA build alone needs.
TORCH = ("torch", "torchvision")
CUDA_ALONE = re.compile(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)$")
CPU_HELP = """\
DEVICE=cpu: the builds of PyTorch for Linux without CUDA come from an index of PyTorch's own. Open
https://pytorch.org/get-started/locally/, choose Linux, Pip, Python and CPU, and give the address
at the end of the command that it shows:
    make setup DEVICE=cpu TORCH_INDEX=<address>
A folder with the wheels of {torch} and {torchvision} does as well. Or let
conda make the environments, which takes the build for the CPU where there is no GPU:
    snakemake --use-conda --cores all"""


class Refused(Exception):
    """The set-up cannot work here, and why."""


def check_machine(device, venv, version=sys.version_info, system=None, machine=None, libc=None):
    """Say what keeps the packages from running here, before anything is fetched."""
    system, machine = system or platform.system(), machine or platform.machine()
    low, high = PYTHONS
    if not low <= tuple(version[:2]) <= high:
        raise Refused(
            "rarecxr needs Python 3.{} to 3.{}, this is {}: make PYTHON=/path/to/python3.12".format(
                low[1], high[1], ".".join(map(str, version[:3]))
            )
        )
    if system == "Darwin" and machine != "arm64":
        raise Refused("PyTorch has no packages for Macs with Intel processors since version 2.3")
    if system == "Linux":
        name, number = libc or platform.libc_ver()
        if name != "glibc" or tuple(map(int, number.split(".")[:2])) < OLDEST_GLIBC:
            raise Refused(
                "the packages need Linux with glibc 2.28 or newer (as in Debian 10 or RHEL 8), "
                f"this is {name or 'another C library'} {number}: use the container (container/)"
            )
    elif system != "Darwin":
        raise Refused(f"the packages are for Linux and macOS, this is {system}: use a container")
    free = shutil.disk_usage(venv.parent).free / 1e9
    if free < DISK_GB[device]:
        raise Refused(
            f"{venv} needs about {DISK_GB[device]} GB while it is made, and {free:.1f} GB are free "
            "there"
        )


def entries(lock):
    """By name the entry of each package in a lock file: version, marker and digests."""
    blocks = re.split(r"^(?=\S)", lock.read_text(encoding="utf-8"), flags=re.M)
    found = {}
    for block in blocks:
        name = re.match(r"([A-Za-z0-9._-]+)==", block)
        if name:
            # A package may stand there for several versions of Python, each with its marker.
            found[name[1]] = found.get(name[1], "") + block
    return found


def version_of(entry):
    """The version that an entry pins."""
    return re.match(r"\S+==([^\s;\\]+)", entry)[1]


def wanted(lock, device, torch_index):
    """What a finished environment notes of itself."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return {"lock": digest, "device": device, "torch_index": torch_index}


def noted(stamp):
    """What the environment that is there notes of itself; nothing if it is not finished."""
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def set_up(venv, lock, device, torch_index, wheels):
    """Make the environment, unless it is there.

    Args:
        venv: its folder.
        lock: the lock file.
        device: cuda for the packages as the lock file has them, cpu for PyTorch without CUDA;
            None for that of the environment that is there, else cuda.
        torch_index: where PyTorch without CUDA comes from, an index's address or a folder of
            wheels; None for where it came from before.
        wheels: a folder that holds every package, for a machine without internet; None for the
            package index.
    """
    stamp = venv / ".complete"
    before = noted(stamp)
    device = device or before.get("device", "cuda")
    if device == before.get("device"):
        torch_index = torch_index or before.get("torch_index")
    # Macs have one build, which is that of the index.
    apart = device == "cpu" and platform.system() == "Linux"
    torch_index = torch_index if apart else None
    target = wanted(lock, device, torch_index)
    if before == target:
        return
    packages = entries(lock)
    if apart and not torch_index:
        pins = {name: f"{name}-{version_of(packages[name])}+cpu" for name in TORCH}
        raise Refused(CPU_HELP.format(**pins))
    check_machine(device, venv)
    if stamp.exists():
        stamp.unlink()

    source = ["--no-index", "--find-links", str(Path(wheels).resolve())] if wheels else []
    python = venv / "bin/python"
    run(sys.executable, "-m", "venv", "--clear", venv)
    # Downloads are unpacked beside the environment and not in the home, which is small on clusters;
    # from there they are linked, so that they take no room of their own.
    cache = os.environ.get("UV_CACHE_DIR")
    environment = {**os.environ, "UV_CACHE_DIR": cache or str(venv / "cache")}
    chosen = {
        name: entry for name, entry in packages.items() if not (apart and CUDA_ALONE.match(name))
    }
    install_uv(python, packages["uv"], venv, source)
    listed = venv / "requirements.lock"
    listed.write_text("".join(chosen.values()), encoding="utf-8")
    uv = [venv / "bin/uv", "pip"]
    here = ["--quiet", "--python", python]
    run(*uv, "sync", *here, *source, "--require-hashes", listed, env=environment)
    if apart:
        pins = [f"{name}=={version_of(packages[name])}" for name in TORCH]
        from_there = (
            ["--no-index", "--find-links", str(Path(torch_index).resolve())]
            if Path(torch_index).is_dir()
            else ["--default-index", torch_index]
        )
        run(*uv, "install", *here, "--no-deps", *from_there, *pins, env=environment)
        run(*uv, "check", *here, env=environment)
    if not cache:
        shutil.rmtree(venv / "cache", ignore_errors=True)
    stamp.write_text(json.dumps(target) + "\n", encoding="utf-8")


def install_uv(python, entry, venv, source):
    """Install the installer, itself from the lock file: pip takes minutes for a file so long."""
    listed = venv / "uv.lock"
    listed.write_text(entry, encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    run(*pip, *source, "-r", listed)


def download(lock, wheels):
    """Fetch every package of the lock file for this Python and machine into a folder."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    run(*pip, "-r", lock, "-d", wheels)


def run(*command, env=None):
    """Run a command, which says by itself what went wrong."""
    try:
        subprocess.run([str(part) for part in command], check=True, env=env)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise Refused(
            "this step of the set-up failed: " + " ".join(str(part) for part in command)
        ) from error


def main():
    """Read the command line and set up, or fetch."""
    parser = argparse.ArgumentParser(description="Make .venv from the lock file.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="its folder (.venv)")
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    parser.add_argument("--device", choices=sorted(DISK_GB), help="PyTorch's build (cuda)")
    parser.add_argument("--torch-index", help="where PyTorch's build for the CPU comes from")
    parser.add_argument("--wheels", help="install from this folder, without internet")
    parser.add_argument("--download", help="only fetch all packages into this folder")
    arguments = parser.parse_args()
    try:
        if arguments.download:
            download(arguments.lock, arguments.download)
        else:
            set_up(
                Path(os.path.abspath(arguments.venv)),
                arguments.lock,
                arguments.device,
                arguments.torch_index,
                arguments.wheels,
            )
    except Refused as refused:
        sys.exit(f"set-up: {refused}")


if __name__ == "__main__":
    main()
