# rarecxr: from the raw CheXpert CSV to the answer whether synthetic X-rays help.
# The stages are in workflow/rules, their scripts (same names) and the library in workflow/scripts.
from snakemake.utils import min_version

# An older Snakemake must get here before it meets a word that it does not know: `pathvars` stands in
# a file of its own, and the options of profiles/default in one that version 8 does not read.
min_version("9.14")


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/external_inputs.smk"
include: "workflow/rules/places.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/gan.smk"
include: "workflow/rules/bank.smk"
include: "workflow/rules/classifier.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/states.smk"


rule all:
    """The whole study: every classifier run, and the report."""
    default_target: True
    input:
        PLAN.deliverables(),
    localrule: True


# A run that made something else has no table to show. Compared with the file as it was, not with a
# clock, which a file server may have set otherwise.
TABLE = Path(PATHS.pattern("report", "summary.txt"))
TABLE_BEFORE = TABLE.stat().st_mtime_ns if TABLE.exists() else None


onsuccess:
    if TABLE.exists() and TABLE.stat().st_mtime_ns != TABLE_BEFORE:
        page = TABLE.with_name("index.html").resolve().as_uri()
        print(f"\n{TABLE.read_text(encoding='utf-8')}\nThe report: {page}\n")
    for warning in read_warnings(PLAN.files("bank", PLAN.banks(), "_quality.json")):
        print(f"WARNING: {warning}")
