"""What a job costs before it begins, beside Snakemake's own cost of a job whose script is empty.

    python benchmarks/startup.py [--scripts label_images check_leakage]

Two workflows of as many jobs are run in turns, on one core and without conda: their scripts are
empty, or have the imports of one of the workflow's scripts and nothing else. From the processor
time of each (all processes) that of a workflow with a single job is taken away.
"""

import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
if __name__ == "__main__":
    # In the place of this folder, one of whose files has the name of a module of Python's own.
    sys.path[:1] = [str(ROOT), str(SCRIPTS)]

from benchmarks.timing import median, parser, report

# Rules whose work takes seconds.
SMALL = ("split_patients", "label_images", "describe_bank", "check_leakage", "make_report")
WORKFLOW = """
rule all:
    input: [f"made/{{i}}.txt" for i in range({number})]
rule make:
    output: "made/{{i}}.txt"
    log: "logs/{{i}}.log"
    script: "{script}"
"""
TOUCH = "\nopen(snakemake.output[0], 'w').close()\n"


def imports_of(script):
    """The import lines of a script, as it has them; a job's place in the path comes first."""
    text = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"(from|import) ", line)]
    return "\n".join([f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})", *lines])


def processor_seconds(script, jobs):
    """Processor time of Snakemake and all jobs of a workflow, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script.py").write_text(script + TOUCH, encoding="utf-8")
        text = WORKFLOW.format(number=jobs, script="script.py")
        Path(folder, "Snakefile").write_text(text, encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["-m", "snakemake", "--cores", "1", "--quiet", "all"]
        subprocess.run(
            [sys.executable, *command, "--workflow-profile", "none"], cwd=folder, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Measure the scripts asked for, in turns with an empty one."""
    options = parser(__doc__.splitlines()[0], repeats=3)
    options.add_argument("--scripts", nargs="+", default=SMALL)
    options.add_argument("--jobs", type=int, default=8)
    asked = options.parse_args()
    scripts = {"(empty)": ""} | {name: imports_of(name) for name in asked.scripts}
    each = {name: [] for name in scripts}
    alone = []
    for _ in range(asked.repeats):
        alone.append(processor_seconds("", 1))
        for name, script in scripts.items():
            each[name].append(processor_seconds(script, 1 + asked.jobs))
    start = median(alone)
    seconds = {name: (median(all_) - start) / asked.jobs for name, all_ in each.items()}
    rows = [
        {"script": name, "times_empty": value / seconds["(empty)"], "s_a_job": value}
        for name, value in seconds.items()
    ]
    report(rows, asked.output)


if __name__ == "__main__":
    main()
