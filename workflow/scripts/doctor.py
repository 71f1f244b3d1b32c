"""What this machine and a study's data lack: `python doctor.py [--configfile FILE]`."""

import argparse
import sys
from pathlib import Path

from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

from rarecxr.doctor import Finding, examine
from rarecxr.study.configuration_file import read_configuration

REFERENCE = Path(__file__).parents[2] / "config/config.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say what a study lacks before it is started.")
    parser.add_argument("--configfile", help="the study's configuration (default: the demo)")
    parser.add_argument("--directory", default=".", help="where Snakemake runs (default: here)")
    parser.add_argument("--sample", type=int, default=200, help="images to open at most (200)")
    arguments = parser.parse_args()
    try:
        config = read_configuration(REFERENCE, arguments.configfile)
    except (OSError, ValueError) as error:
        sys.exit(f"doctor: {error}")
    wrong = 0
    for name, finding in examine(config, Path(arguments.directory).resolve(), arguments.sample):
        show(name, finding)
        wrong += finding.level == "wrong"
    if wrong:
        sys.exit(f"doctor: {wrong} to be mended before the study can run")
    print("doctor: nothing is missing")


def show(name: str, finding: Finding) -> None:
    """Print one finding at once, so that a slow check is seen to work."""
    print(f"{name:<9}{finding}", flush=True)


if __name__ == "__main__":
    main()
