"""Reads what pip-audit found, from standard input, and says it in a line a package."""

import json
import sys


def main():
    try:
        found = json.load(sys.stdin)["dependencies"]
    except (ValueError, KeyError, TypeError):
        found = []
    asked = [package for package in found if "vulns" in package]
    if not asked:
        print("AUDIT SKIPPED: no known vulnerability could be looked up in the package index")
        return
    weak = [(package, weakness) for package in asked for weakness in package["vulns"]]
    for package, weakness in weak:
        mended = ", ".join(weakness.get("fix_versions", [])) or "no version yet"
        print(f"{package['name']} {package['version']}: {weakness['id']}, mended in {mended}")
    print(
        f"audit: {len(asked)} of {len(found)} packages looked up, {len(weak)} known vulnerabilities"
    )
    sys.exit(bool(weak))


if __name__ == "__main__":
    main()
