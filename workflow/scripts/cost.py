"""What a study will cost: `python cost.py --from results/STUDY [--configfile FILE]`."""

import argparse
import sys
from pathlib import Path

from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

from rarecxr.cost.counts import counts_of_files, counts_of_numbers
from rarecxr.cost.estimate import estimate, table
from rarecxr.cost.measured import read_study
from rarecxr.cost.planned import planned_jobs
from rarecxr.study.configuration_file import read_configuration
from rarecxr.study.plan import Plan

REFERENCE = Path(__file__).parents[2] / "config/config.yaml"


def main() -> None:
    arguments = parse()
    try:
        plan = Plan(read_configuration(REFERENCE, arguments.configfile))
        study = read_study(arguments.finished)
        if arguments.images is None:
            counts = counts_of_files(plan, Path(arguments.directory))
        else:
            counts = counts_of_numbers(plan, arguments.images, dict(arguments.positives))
        jobs = list(planned_jobs(plan, counts, study.precision))
        found = estimate(plan.configuration, jobs, study)
    except (OSError, ValueError) as error:
        sys.exit(f"cost: {error}")
    print(f"The study {plan.configuration.study}: {counts.images:,.0f} images, {len(jobs)} jobs.")
    device = found.device or "a device that no log names"
    print(f"Learned from {study.results}, whose networks ran on {device}.\n")
    print(table(found))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Say what a study will cost before it is started.")
    parser.add_argument(
        "--from", dest="finished", required=True, help="folder results/{study} of a finished study"
    )
    parser.add_argument(
        "--configfile", help="the planned study's configuration (default: the demo)"
    )
    parser.add_argument("--directory", default=".", help="where Snakemake runs (default: here)")
    parser.add_argument(
        "--images", type=int, help="its images, where its data set is not on this machine"
    )
    parser.add_argument(
        "--positives",
        type=positives,
        nargs="+",
        default=[],
        metavar="FINDING=NUMBER",
        help="with --images: how many of them show a finding, for each target finding",
    )
    return parser.parse_args()


def positives(text: str) -> tuple[str, int]:
    """One finding and its number of images."""
    finding, _, number = text.partition("=")
    return finding, int(number)


if __name__ == "__main__":
    main()
