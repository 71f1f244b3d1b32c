"""Make docs/reliability.md from the record of the tests that inject faults (tests/faults).

python docs/make_reliability.py
"""

import json
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "reliability/faults.jsonl"
PAGE = HERE / "reliability.md"

WHAT = {
    "kill -9": (
        "SIGKILL at a random moment while a job of the stage runs: to Snakemake alone (its job "
        "goes on by itself), to the job (which Snakemake tries again), or to all processes at once"
    ),
    "soak": (
        "The whole study is made again and again in one folder, and at random moments about a "
        "third of its jobs are hit by SIGKILL: Snakemake alone, the job, or all processes at once; "
        "nothing may be left in shared memory or, less than a megabyte of Snakemake's own apart, "
        "in the folder of temporary files"
    ),
    "made again": (
        "no fault: the whole study is made anew on 1, 2 and 4 cores, and by another supported "
        "Python, whose results name its version and are compared without it and without the "
        "digests of files that name it"
    ),
    "disk full": "the results lie on a small disk on which less is free than the stage writes",
    "read-only output": "the results lie on a disk that cannot be written",
    "damaged file": (
        "a file of the study is cut off at a random place, has one flipped bit in its first 16 "
        "bytes, in its middle third or in its last 16 bytes, or holds the content of another file "
        "of its kind, with its old time; the stage then reads it"
    ),
    "two runs at once": "Snakemake is started again while it works on the stage",
    "clock set back": "the stage runs by a clock that is two days behind that of all others",
    "input replaced": "an input of the stage is replaced by another file while its job runs",
    "no file locks": (
        "every flock fails, as on NFS without its lock service (ENOLCK), on file systems without "
        "locks (ENOTSUP) and on Lustre without -o flock (ENOSYS)"
    ),
}
OUTCOMES = {
    "recovered": "the next run went on by itself",
    "error names the file": (
        "the job stopped with an error that names the file; once the file was removed, as the "
        "error says, the next run made it again"
    ),
    "what the job reads is whole": (
        "the damaged image is none that the job reads, and it made the same file; a job that "
        "reads it stops"
    ),
    "error names the reason": (
        "the job stopped with an error that names the reason; once that was mended, the next run "
        "went on"
    ),
    "error names the clock": (
        "Snakemake stopped, since outputs would have been older than inputs, with an error that "
        "names the clock; by the right clock the next run went on"
    ),
    "one is refused": "the second one was refused (Snakemake's lock), the first one ended",
    "one after the other": (
        "the second one began when the first one had ended, with nothing to do"
    ),
    "the old file was used": "the job had read the file already and ended",
    "completed": "the job ended as with locks",
    "the same bytes": "all results are identical",
    "the same numbers": "all tables, networks, banks and image sets hold the same",
}
HEAD = """\
# Reliability: faults that were tried

<!-- Made by docs/make_reliability.py from docs/reliability/faults.jsonl: do not edit. -->

Faults cost time and never change a number. That is tried on a tiny study of every stage
(`tests/faults/study.yaml`): a fault is injected with real processes and signals, after which the
stage has to make the files that it makes undisturbed. The trials of one kind of fault follow each
other in one copy of the study; after them the next run has to complete it, and then every table,
network, bank and image set must be identical, byte for byte, to that of an undisturbed study. No
half-written file, lock or process may be left. A trial counts only if all of that held.

`make test-faults` runs all of it ({all} trials); trials in the record are not repeated.
The tables show what was run: **{trials} trials, {tries} faults, {kills} of them kills**. A fault
and stage that is not listed has not been run.
"""
TAIL = """\
Not covered: damage that is done between a job's check of a file and its reading, damage to main
memory, and file systems that lose what they reported as written. [limits.md](limits.md) lists
further limits, [cluster.md](cluster.md#5-failures-and-interruptions) what interruptions mean on a
cluster.
"""


def read(record=RECORD):
    """The record's lines."""
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def page(lines, number_of_trials):
    """The whole page, as Markdown."""
    trials = {(line["fault"], line["stage"], line["trial"]) for line in lines}
    text = HEAD.format(
        all=number_of_trials,
        trials=len(trials),
        tries=sum(line["tries"] for line in lines if line["fault"] != "made again"),
        kills=sum(line["tries"] for line in lines if line["fault"] in ("kill -9", "soak")),
    )
    return "\n".join([text, *(section(fault, lines) for fault in WHAT), TAIL])


def section(fault, lines):
    """One fault: what it is, and a table by stage."""
    lines = [line for line in lines if line["fault"] == fault]
    head = f"## {fault.capitalize()}\n\n{WHAT[fault][0].upper()}{WHAT[fault][1:]}."
    if not lines:
        return f"{head} Not run yet.\n"
    head += f" Trials: {len({(line['stage'], line['trial']) for line in lines})}."
    # A stage's trials of one outcome share a row, and so do stages with the same row.
    tries, what, alike = Counter(), {}, {}
    for line in lines:
        key = line["stage"], line["outcome"]
        tries[key] += line["tries"]
        parts = what.setdefault(key, Counter())
        if line["what"]:
            parts[line["what"]] += line["tries"]
    for (stage, outcome), number in tries.items():
        parts = what[stage, outcome]
        told = ", ".join(f"{part} {parts[part]}" for part in sorted(parts)) or "–"
        alike.setdefault((number, told, outcome), []).append(stage)
    text = [
        f"{head}\n",
        "| stages | tries in each | of these | outcome |",
        "| --- | --- | --- | --- |",
    ]
    for (number, told, outcome), stages in alike.items():
        names = ", ".join(sorted(stages))
        several = f"{names} ({len(stages)} stages)" if len(stages) > 1 else names
        text.append(f"| {several} | {number} | {told} | {OUTCOMES[outcome]} |")
    return "\n".join([*text, *hits(lines)]) + "\n"


def hits(lines):
    """Table of the stages whose jobs ran when something was killed, where the record has them."""
    by_stage = {}
    for line in lines:
        if "hit" in line:
            by_stage.setdefault(line["hit"], Counter())[line["what"]] += line["tries"]
    if not by_stage:
        return []
    kinds = sorted({kind for found in by_stage.values() for kind in found})
    rows = [
        f"| {stage} | {' | '.join(str(found[kind]) for kind in kinds)} |"
        for stage, found in sorted(by_stage.items(), key=lambda item: -item[1].total())
    ]
    return [
        *("", "Whose job ran at the moment (later runs of the record have it):", ""),
        *(f"| stage | {' | '.join(kinds)} |", f"| --- |{' --- |' * len(kinds)}", *rows),
    ]


def number_of_trials():
    """How many trials there are, whether or not they were run."""
    import sys

    tests = HERE.parent / "tests"
    folders = (tests, tests / "unit", tests / "faults", HERE.parent / "workflow/scripts")
    sys.path[:0] = map(str, folders)
    from test_faults import TRIALS

    return len(TRIALS)


if __name__ == "__main__":
    PAGE.write_text(page(read(), number_of_trials()), encoding="utf-8")
