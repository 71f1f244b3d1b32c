# What all rules share: the checked configuration, its sections as params, and the study's cells.
import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

ROOT = Path(workflow.current_basedir).parents[1].resolve()
SCRIPTS = ROOT / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from rarecxr.core.code_digest import code_digest
from rarecxr.study.configuration import check
from rarecxr.study.findings import ALL, NEGATIVES, slug, unslug
from rarecxr.data.fingerprint import image_fingerprint
from rarecxr.study.arms import at_doses, largest

# Messages and tables hold characters that a Latin or Korean console cannot show: it gets their codes,
# where Python would end the workflow with a UnicodeEncodeError.
for _stream in (sys.stdout, sys.stderr):
    if hasattr(_stream, "reconfigure"):
        _stream.reconfigure(errors="backslashreplace")

# What the user's files and command line do not say. Not by `configfile:`, which a workflow that
# takes this one as a module does without.
_reference = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
update_config(_reference, config)
config.update(_reference)

try:
    check(config, ROOT / "config/schema.yaml")
except ValueError as error:
    raise WorkflowError(str(error)) from None

STUDY = config["study"]
DATASET = config["dataset"]
DRAWS = range(config["draws"])
SEEDS = range(config["classifier"]["seeds"])
# As they stand in paths: 1, not 1.0.
FRACTIONS = [format(fraction, "g") for fraction in DATASET["fractions"]]
TARGETS = DATASET["target_findings"]
# What patients are shared out by and negatives are free of: those that may be added later, too.
RECKONED = sorted({*TARGETS, *DATASET["planned_findings"]})
# Recipes that start from nothing: what all others start from, and one GAN of all findings.
BASE, CONDITIONAL = "base", "conditional"
# Every arm's definition, and the doses that each has where bank.ratio is a list; ARMS are those that run.
DEFINITIONS, DOSES = at_doses(config["arms"], config["bank"]["ratio"])
ARMS = {
    run: DEFINITIONS[run]
    for name in config["classifier"]["arms"]
    for run in DOSES.get(name, [name])
}


if config["container"]:

    container: config["container"]


wildcard_constraints:
    recipe="[a-z0-9_]+",
    fraction=r"[0-9]+(\.[0-9]+)?",
    draw="[0-9]+",
    finding="[a-z0-9_]+",
    arm=r"[A-Za-z0-9_]+(@[0-9.]+)?",
    seed="[0-9]+",
    shard="[0-9]+",


def settings(section, without=()):
    """One section of the configuration as a param: plain values in a fixed order of keys.

    Snakemake compares params by their text, so the order of keys must not count.
    """
    return {
        key: _sorted(config[section][key])
        for key in sorted(config[section])
        if key not in without
    }


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return value


def code(script):
    """Digest of a script and of the library modules that it imports: changed code is stale."""
    return code_digest(SCRIPTS / script)


def finding_name(wildcards):
    """The finding's name as the labels have it; negatives and all keep theirs."""
    if wildcards.finding in (NEGATIVES, ALL):
        return wildcards.finding
    return unslug(wildcards.finding, DATASET["findings"])


def own_file(path):
    """A file of this checkout as an input: seen from the working folder, so that both may move."""
    return os.path.relpath(ROOT / path)


def gpus(section):
    """GPUs that a job of this section asks for."""
    return (
        0 if config[section]["device"] == "cpu" else config[section].get("devices", 1)
    )


def memory(rule, beside=0):
    """Memory in MB that a job asks for, with `beside` MB for what is set elsewhere: grows with the attempt."""
    return _asked("memory_mb", rule, beside)


def minutes(rule):
    """Minutes that a job asks for: grows with the attempt."""
    return _asked("minutes", rule)


def _asked(what, rule, beside=0):
    jobs = config["jobs"]
    first = jobs[what].get(rule, jobs[what]["default"]) + beside
    most = jobs[f"max_{what}"] or float("inf")
    return lambda wildcards, attempt: min(first * attempt, most)


def cells():
    """Every fraction and draw of the study, as values of wildcards."""
    return [
        {"fraction": fraction, "draw": draw} for fraction in FRACTIONS for draw in DRAWS
    ]


def runs():
    """Every classifier run of the study, as values of wildcards."""
    return [
        {"arm": arm, **cell, "seed": seed}
        for arm in ARMS
        for cell in cells()
        for seed in SEEDS
    ]
