"""Compare the files of a study with its manifest: after a copy, from a backup, before a paper."""

import argparse
import sys

from rarecxr.manifest import MANIFEST, check_manifest, write_manifest

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="the study's folder, as in results/demo")
    parser.add_argument(
        "--write", action="store_true", help=f"write the study's {MANIFEST}, where it was made"
    )
    arguments = parser.parse_args()
    try:
        if arguments.write:
            number, differences = write_manifest(arguments.study), []
        else:
            number, differences = check_manifest(arguments.study)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    for line in differences:
        print(line)
    if differences:
        sys.exit(
            f"{arguments.study}: {len(differences)} differences from {MANIFEST}. Copy missing and "
            "changed files again, or remove them and run the workflow; if the study went on since, "
            "write the manifest again with --write"
        )
    print(f"{arguments.study}: {number} files, {'listed' if arguments.write else 'all as listed'}")
