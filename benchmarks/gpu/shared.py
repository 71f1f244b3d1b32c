"""What the parts of `benchmarks/gpu.sh` share: options, time, and where results go."""

import argparse
import json
import os
import time
from pathlib import Path

import torch

_START = time.perf_counter()


def options(description):
    """The options of a part, with `device` as a torch.device."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True, help="folder for files in between")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--root", type=Path, help="data set in CheXpert's layout")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    asked = parser.parse_args()
    asked.device = torch.device(asked.device)
    if asked.device.type == "cpu":
        torch.set_num_threads(1)
    return asked


def seconds_left():
    """Seconds until this part's limit; half a minute where nobody set one."""
    return float(os.environ.get("PART_S", 30)) - (time.perf_counter() - _START)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_each(work, device, enough_s, least=3):
    """Seconds of one call of `work`: calls in a row, the median of three stretches of them.

    Between two stretches the device is waited for, within one it is not, as in a training.
    """
    work()
    synchronize(device)
    begin = time.perf_counter()
    work()
    synchronize(device)
    once = max(time.perf_counter() - begin, 1e-6)
    calls = max(1, least // 3, int(enough_s / 3 / once))
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        synchronize(device)
        times.append((time.perf_counter() - begin) / calls)
    return sorted(times)[1]


def peak_memory_gib(device):
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")


def forget_memory(device):
    """Give back what is not in use, so that the next case's peak is its own."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def device_name(device):
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


class Results:
    """What a part found, in {name}.json of the work folder from the first moment on."""

    def __init__(self, asked, name):
        self.path = asked.work / f"{name}.json"
        self.content = {"device": device_name(asked.device), "torch": torch.__version__}

    def __setitem__(self, key, value):
        self._keep(key, value)
        print(key, json.dumps(value)[:1000], flush=True)

    def _keep(self, key, value):
        self.content[key] = value
        temporary = self.path.with_suffix(".writing")
        temporary.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        temporary.replace(self.path)

    def __getitem__(self, key):
        return self.content[key]

    def append(self, key, value):
        """Add to a list of results."""
        self._keep(key, [*self.content.get(key, []), value])
        print(key, json.dumps(value)[:300], flush=True)

    def attempt(self, key, work):
        """Note what `work()` returns, or how it failed: one failure must not cost the others."""
        try:
            self.append(key, work())
        except Exception as error:
            import traceback

            traceback.print_exc()
            self.append("failed", f"{key}: {type(error).__name__}: {error}"[:300])
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
