"""What studies occupy on disk: `python workflow/scripts/disk_usage.py [results/STUDY …]`."""

import argparse
import sys
from pathlib import Path

from rarecxr.core.disk_usage import table, usage


def main() -> None:
    parser = argparse.ArgumentParser(description="What studies occupy on disk, and what may go.")
    parser.add_argument("results", nargs="*", help="folders results/{study} (default: all of them)")
    arguments = parser.parse_args()
    for results in arguments.results or sorted(map(str, Path("results").glob("*"))):
        try:
            print(f"{results}\n{table(usage(results))}\n")
        except FileNotFoundError as error:
            sys.exit(f"disk_usage: {error}")


if __name__ == "__main__":
    main()
