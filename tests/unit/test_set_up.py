"""The set-up from a lock file, without internet: small wheels stand in for the packages."""

import base64
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "envs/set_up.py"
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")

spec = importlib.util.spec_from_file_location("set_up", SCRIPT)
set_up = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_up)


def write_wheel(folder, name, version, requires=(), scripts=()):
    """A wheel that holds an empty module of its name; its digest."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        **{
            f"{name}-{version}.data/scripts/{script}": text
            for script, text in dict(scripts).items()
        },
    }
    record = ""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{file},sha256={digest.rstrip(b'=').decode()},{len(text)}\n"
            entry = zipfile.ZipInfo(file)
            entry.external_attr = (0o100755 if "/scripts/" in file else 0o100644) << 16
            wheel.writestr(entry, text)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder of wheels, another with PyTorch for the CPU, and the lock file."""
    if UV is None:
        pytest.skip("no uv here")
    folder = tmp_path_factory.mktemp("packages")
    wheels, cpu = folder / "wheels", folder / "cpu"
    # It has to be the installer that the lock file names, and must not be fetched.
    uv = write_wheel(wheels, "uv", "9.9", scripts={"uv": f'#!/bin/sh\nexec {UV} "$@"\n'})
    small = write_wheel(wheels, "small", "1.0")
    other = write_wheel(wheels, "small", "0.9")
    nvidia = write_wheel(wheels, "nvidia_blas", "13.0")
    torch = write_wheel(wheels, "torch", "2.11.0", ["nvidia-blas==13.0"])
    vision = write_wheel(wheels, "torchvision", "0.26.0", ["torch==2.11.0"])
    write_wheel(cpu, "torch", "2.11.0+cpu")
    write_wheel(cpu, "torchvision", "0.26.0+cpu", ["torch==2.11.0"])
    lock = folder / "requirements.lock"
    lock.write_text(
        "".join(
            f"{pin} \\\n    --hash=sha256:{digest}\n"
            for pin, digest in (
                ("nvidia-blas==13.0", nvidia),
                # As for packages whose newest version is not for every Python.
                ("small==1.0 ; python_full_version >= '3'", small),
                ("small==0.9 ; python_full_version < '3'", other),
                ("torch==2.11.0", torch),
                ("torchvision==0.26.0", vision),
                ("uv==9.9", uv),
            )
        ),
        encoding="utf-8",
    )
    return folder


def run(packages, venv, *arguments, lock=None):
    """Set up from the wheels alone; the finished process."""
    return subprocess.run(
        [
            *(sys.executable, SCRIPT, "--venv", venv, "--wheels", packages / "wheels"),
            *("--lock", lock or packages / "requirements.lock", *arguments),
        ],
        capture_output=True,
        encoding="utf-8",
        env={name: value for name, value in os.environ.items() if not name.startswith("UV_")},
    )


def installed(venv):
    """Version of every package of the environment, pip apart."""
    code = (
        "import json; from importlib import metadata\n"
        "print(json.dumps({d.name: d.version for d in metadata.distributions()}))"
    )
    done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, check=True)
    return {name: version for name, version in json.loads(done.stdout).items() if name != "pip"}


def test_all_packages_come_from_the_lock_file_and_a_second_call_does_nothing(packages, tmp_path):
    venv = tmp_path / "venv"
    done = run(packages, venv)
    assert done.returncode == 0, done.stderr
    found = {name.replace("-", "_"): version for name, version in installed(venv).items()}
    assert set(found) >= {"nvidia_blas", "small", "torch", "torchvision", "uv"}
    assert found["small"] == "1.0"
    # What was unpacked on the way is gone, and nothing of it went to the home.
    assert not (venv / "cache").exists()
    (venv / "mine").touch()
    assert run(packages, venv).returncode == 0
    assert (venv / "mine").exists()
    # An interrupted call leaves no note, and the next one starts over.
    (venv / ".complete").unlink()
    assert run(packages, venv).returncode == 0
    assert not (venv / "mine").exists()


def test_a_package_that_is_not_the_one_of_the_lock_file_is_refused(packages, tmp_path):
    text = (packages / "requirements.lock").read_text(encoding="utf-8")
    digest = re.search(r"small==1.0 .*\n    --hash=sha256:(\w+)", text)[1]
    lock = tmp_path / "requirements.lock"
    lock.write_text(text.replace(digest, "0" * 64), encoding="utf-8")
    done = run(packages, tmp_path / "venv", lock=lock)
    assert done.returncode != 0
    assert "set-up: this step of the set-up failed" in done.stderr
    assert "Hash mismatch" in done.stderr
    assert not (tmp_path / "venv/.complete").exists()


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere there is one build of PyTorch")
def test_the_build_for_the_cpu_comes_from_its_own_index_and_is_kept(packages, tmp_path):
    venv = tmp_path / "venv"
    done = run(packages, venv, "--device", "cpu")
    assert done.returncode == 1
    assert "https://pytorch.org/get-started/locally/" in done.stderr
    assert "torch-2.11.0+cpu and torchvision-0.26.0+cpu" in done.stderr
    assert not venv.exists()

    done = run(packages, venv, "--device", "cpu", "--torch-index", packages / "cpu")
    assert done.returncode == 0, done.stderr
    found = installed(venv)
    assert found["torch"] == "2.11.0+cpu"
    assert found["torchvision"] == "0.26.0+cpu"
    assert not [name for name in found if name.startswith("nvidia")]
    # `make demo` names no device: it takes the environment as it is.
    (venv / "mine").touch()
    assert run(packages, venv).returncode == 0
    assert (venv / "mine").exists()
    assert run(packages, venv, "--device", "cpu").returncode == 0
    assert (venv / "mine").exists()


LINUX = {"system": "Linux", "machine": "x86_64", "libc": ("glibc", "2.36")}


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ({"version": (3, 10, 4)}, r"needs Python 3.11 to 3.13, this is 3.10.4: make PYTHON="),
        ({"version": (3, 14, 0)}, r"needs Python 3.11 to 3.13, this is 3.14.0"),
        ({"libc": ("glibc", "2.17")}, r"glibc 2.28 or newer .*, this is glibc 2.17: use the cont"),
        ({"libc": ("", "")}, r"this is another C library"),
        ({"system": "Darwin"}, r"no packages for Macs with Intel processors"),
        ({"system": "Windows", "machine": "AMD64"}, r"for Linux and macOS, this is Windows"),
    ],
)
def test_a_machine_that_the_packages_do_not_run_on_is_refused_first(tmp_path, here, message):
    machine = {"version": (3, 12, 1), **LINUX}
    set_up.check_machine("cpu", tmp_path / "venv", **machine)
    set_up.check_machine("cpu", tmp_path / "venv", **{**machine, "version": (3, 13, 9)})
    with pytest.raises(set_up.Refused, match=message):
        set_up.check_machine("cpu", tmp_path / "venv", **{**machine, **here})


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(
        set_up.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1e9)
    )
    with pytest.raises(set_up.Refused, match=r"needs about 8 GB while it is made, and 1.0 GB are"):
        set_up.check_machine("cuda", tmp_path / "venv", version=(3, 12, 1), **LINUX)


def test_the_promised_pythons_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (low, high) = set_up.PYTHONS
    assert project["requires-python"] == f">={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}"


def test_the_lock_file_can_be_set_up_without_internet():
    """It holds the installer, and what PyTorch's CUDA build alone needs is told by name."""
    packages = set_up.entries(ROOT / "requirements.lock")
    assert {"uv", "torch", "torchvision", "setuptools"} <= set(packages)
    cuda = {name for name in packages if set_up.CUDA_ALONE.match(name)}
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-toolkit"} <= cuda
    # Nothing is lost on the way: some stand there once for each of several Pythons.
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "".join(packages.values()) == lock
    # All others are needed whatever PyTorch computes on.
    assert {"numpy", "snakemake", "h5py"}.isdisjoint(cuda)
