"""How many phantoms one core draws in a second, JPEG files written and all, as JSON.

    python benchmarks/phantoms.py [--resolution 320] [--images 200]

Processor time is counted, so a busy machine changes little.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.phantom import PhantomSettings


def settings(patients, resolution):
    """CheXpert's own prevalences and number of studies."""
    return PhantomSettings(
        patients=patients,
        expert_patients=max(patients // 10, 1),
        resolution=resolution,
        difficulty=0.3,
        prevalence={},
        studies_per_patient=2.9,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=320, help="px, shorter side")
    parser.add_argument("--images", type=int, default=200, help="about so many")
    options = parser.parse_args()
    patients = max(options.images // 4, 1)
    with tempfile.TemporaryDirectory() as folder:
        # The first image of a process makes the textures: a matter of the start, not the rate.
        make_phantoms(Path(folder) / "warm", settings(1, options.resolution))
        begin = time.process_time()
        make_phantoms(Path(folder) / "data", settings(patients, options.resolution))
        seconds = time.process_time() - begin
        images = len(list((Path(folder) / "data").rglob("*.jpg")))
        size = sum(path.stat().st_size for path in (Path(folder) / "data").rglob("*.jpg"))
    print(
        json.dumps(
            {
                "resolution_px": options.resolution,
                "images": images,
                "images_per_core_second": round(images / seconds, 1),
                "kilobytes_per_image": round(size / images / 1000, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
