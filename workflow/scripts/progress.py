"""How far a study is: `python progress.py [--configfile FILE …]`; reads files alone."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

from rarecxr.progress.summary import lines, read_progress
from rarecxr.study.configuration_file import read_configuration
from rarecxr.study.plan import Plan

REFERENCE = Path(__file__).parents[2] / "config/config.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say how far a study is.")
    parser.add_argument(
        "--configfile", nargs="+", default=[], help="the study's configuration (default: the demo)"
    )
    parser.add_argument("--directory", default=".", help="where Snakemake runs (default: here)")
    arguments = parser.parse_args()
    try:
        plan = Plan(read_configuration(REFERENCE, *arguments.configfile))
        progress = read_progress(plan, Path(arguments.directory))
    except (OSError, ValueError) as error:
        sys.exit(f"progress: {error}")
    for line in lines(progress, datetime.now()):
        print(line)


if __name__ == "__main__":
    main()
