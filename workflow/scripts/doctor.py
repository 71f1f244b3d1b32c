"""What this machine and a study's data lack: `python doctor.py [--configfile FILE]`."""

import argparse
import sys
from pathlib import Path

from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

import yaml

from rarecxr.doctor import Finding, examine
from rarecxr.study.check import check

REFERENCE = Path(__file__).parents[2] / "config/config.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say what a study lacks before it is started.")
    parser.add_argument("--configfile", help="the study's configuration (default: the demo)")
    parser.add_argument("--directory", default=".", help="where Snakemake runs (default: here)")
    parser.add_argument("--sample", type=int, default=200, help="images to open at most (200)")
    arguments = parser.parse_args()
    try:
        config = check(read(arguments.configfile))
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.exit(f"doctor: {error}")
    wrong = 0
    for name, finding in examine(config, Path(arguments.directory).resolve(), arguments.sample):
        show(name, finding)
        wrong += finding.level == "wrong"
    if wrong:
        sys.exit(f"doctor: {wrong} to be mended before the study can run")
    print("doctor: nothing is missing")


def read(configfile: str | None) -> dict:
    """The configuration as Snakemake makes it: the reference, and the file's keys over it."""
    config = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    if configfile is None:
        return config
    own = yaml.safe_load(Path(configfile).read_text(encoding="utf-8"))
    if not isinstance(own, dict):
        raise ValueError(f"{configfile}: holds no settings; write them as in config/config.yaml")
    return merged(config, own)


def merged(below: dict, above: dict) -> dict:
    """Two configurations as one: the second one's values, sections joined key by key."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def show(name: str, finding: Finding) -> None:
    """Print one finding at once, so that a slow check is seen to work."""
    print(f"{name:<9}{finding}", flush=True)


if __name__ == "__main__":
    main()
