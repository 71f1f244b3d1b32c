"""Studies of several folds as one: `python pool_folds.py results/STUDY results/STUDY …`."""

import argparse
import sys

from rarecxr.core.files import written_whole
from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

from rarecxr.statistics.folds import pool_folds


def main() -> None:
    parser = argparse.ArgumentParser(description="Pool studies of several folds (dataset.fold).")
    parser.add_argument("studies", nargs="+", help="folders results/{study} of finished studies")
    parser.add_argument("--output", help="write the table there, as CSV")
    arguments = parser.parse_args()
    try:
        pooled = pool_folds(arguments.studies)
        if arguments.output:
            with written_whole(arguments.output) as temporary:
                pooled.to_csv(temporary, index=False, float_format="%.6g")
    except (OSError, ValueError) as error:
        sys.exit(f"pool: {error}")
    overall = pooled[pooled["fraction"].isna()].drop(columns=["finding", "fraction", "role"])
    numbers = dict.fromkeys(["change", "low", "high"], "{:+.3f}".format)
    print(overall.to_string(index=False, formatters={**numbers, "p": "{:.3f}".format}))


if __name__ == "__main__":
    main()
