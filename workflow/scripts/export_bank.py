"""Write images of a bank as PNG files: `python export_bank.py BANK.h5 FOLDER [--number N]`."""

import argparse
import sys

from rarecxr.core.missing_packages import explain_missing_packages

explain_missing_packages()

from rarecxr.bank.bank_file import export_png


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a bank's synthetic images as PNG files.")
    parser.add_argument("bank", help="HDF5 file, results/{study}/bank/…/{finding}.h5")
    parser.add_argument("folder", help="folder for the PNG files, made if it is not there")
    parser.add_argument("--number", type=int, help="how many images (default: all)")
    arguments = parser.parse_args()
    try:
        paths = export_png(arguments.bank, arguments.folder, arguments.number)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"export_bank: {error}")
    print(f"{len(paths)} images in {arguments.folder}")


if __name__ == "__main__":
    main()
