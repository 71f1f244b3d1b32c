# What all rules share: the checked configuration, its sections as params, and the study's cells.
import os
import sys
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import update_config

ROOT = Path(workflow.current_basedir).parents[1].resolve()
SCRIPTS = ROOT / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from rarecxr.bank.quality_warnings import read_warnings
from rarecxr.core.code_digest import code_digest
from rarecxr.data.fingerprint import known_fingerprint
from rarecxr.data.formats.registry import CHEXPERT, FORMATS
from rarecxr.data.image_folder import ImageFolder
from rarecxr.data.label_precheck import precheck_labels
from rarecxr.data.section_keys import keys_of
from rarecxr.study.arms import largest_additions
from rarecxr.study.check import check
from rarecxr.study.configuration.classifier import NetworkSettings, TrainingSettings
from rarecxr.study.configuration.pixels import PixelSettings
from rarecxr.study.configuration.study import doubts
from rarecxr.study.findings import ALL, NEGATIVES, NO_FINDING, unslug
from rarecxr.study.given import misread_options, missing_files, refuse, repeated_keys
from rarecxr.study.plan import Plan, external_file, gan_of
from rarecxr.study.recipes import BASE, CONDITIONAL, PAIRED, paired, paired_with
from rarecxr.study.source import (
    labels_as_text,
    named_keys,
    tables_of,
    unknown_findings,
    unknown_labels,
)

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
    # Not by every job that reads this file again.
    if workflow.is_main_process:
        refuse(misread_options(sys.argv))
        refuse(line for path in workflow.configfiles for line in repeated_keys(path))
    CONFIG = check(config)
    if workflow.is_main_process:
        refuse(missing_files(CONFIG, Path.cwd(), ROOT / "config/published.csv"))
        for _doubt in doubts(CONFIG):
            logger.warning(_doubt)
except ValueError as error:
    raise WorkflowError(str(error)) from None

STUDY = CONFIG.study
DATASET = CONFIG.dataset
PLAN = Plan(CONFIG)
PATHS = PLAN.paths


if CONFIG.container:

    container: CONFIG.container


wildcard_constraints:
    recipe="[a-z0-9_]+",
    fraction=r"[0-9]+(\.[0-9]+)?",
    draw="[0-9]+",
    finding="[a-z0-9_]+",
    arm=r"[A-Za-z0-9_]+(@[0-9.]+)?",
    seed="[0-9]+",
    shard="[0-9]+",
    external="[a-z][a-z0-9_]*",


def settings(section, without=(), of=None):
    """What of a section can change a result, as a param: plain values in a fixed order of keys.

    Snakemake compares params by their text, so the order of keys must not count. `of` names one of
    the section's bases where a rule needs its keys alone.
    """
    chosen = _section(section, of).with_effect()
    return {key: value for key, value in chosen.items() if key not in without}


def without_effect(section, of=None, **more):
    """What of a section changes no result: Snakemake compares no params of such a type."""
    return SimpleNamespace(**_section(section, of).without_effect(), **more)


def kept_precision():
    """Where the study keeps what precision `auto` stands for: no change of it makes a result stale."""
    return SimpleNamespace(folder=placed(PATHS.pattern("precision")))


def _section(section, of):
    chosen = getattr(CONFIG, section)
    return chosen if of is None else chosen.part(of)


def chosen_settings(section, keys):
    """Some settings of a section, as plain values."""
    plain = getattr(CONFIG, section).plain()
    return {key: plain[key] for key in keys}


def filter_settings(names):
    """The filters of these names, as plain values."""
    return {name: CONFIG.filters[name].plain() for name in names}


def code(script):
    """Digest of a script and of the library modules that it imports: changed code is stale."""
    return code_digest(SCRIPTS / script)


def finding_name(wildcards):
    """The finding's name as the labels have it; negatives and all keep theirs."""
    if wildcards.finding in (NEGATIVES, ALL):
        return wildcards.finding
    return unslug(wildcards.finding, DATASET.findings)


def placed(path):
    """A path that is a param, where the `prefix:` of a module puts the study's files."""
    return str(workflow.modifier.path_modifier.replace_prefix(path))


def users_file(path):
    """A file of the user's as an input: its path stays as it is, whatever a module's `prefix:`."""
    return local(path)


def own_file(path):
    """A file of this checkout as an input: seen from the working folder, so that both may move."""
    return local(os.path.relpath(ROOT / path))


def asked(rule, section=None, holds_pixels=True):
    """The resources of a job; memory and minutes grow with the attempt.

    With its section also GPUs, and where classifiers are trained memory for the pixels that they
    hold.
    """
    chosen = None if section is None else getattr(CONFIG, section)
    trains = holds_pixels and isinstance(chosen, NetworkSettings)
    beside = chosen.pixel_memory_mib if trains else 0
    resources = {
        "mem_mb": _asked("memory_mb", rule, beside),
        "runtime": _asked("minutes", rule, 0),
    }
    if chosen is not None:
        # Never `tasks`, with which SLURM would start the script once for each GPU: it starts the
        # processes of further GPUs itself.
        on_gpu = chosen.device != "cpu"
        resources["gpu"] = getattr(chosen, "devices", 1) if on_gpu else 0
    return resources


def _asked(what, rule, beside):
    first = getattr(CONFIG.jobs, what).get(rule) + beside
    most = getattr(CONFIG.jobs, f"max_{what}") or float("inf")
    return lambda wildcards, attempt: min(first * attempt, most)
