# rarecxr: from the raw CheXpert CSV to the answer whether synthetic X-rays help.
# The stages are in workflow/rules, their scripts (same names) and the library in workflow/scripts.
from snakemake.utils import min_version

min_version("9.14")


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"


# Places, so that the rules stay short. Jobs' state (resume files) lies outside the declared outputs.
pathvars:
    phantom=f"resources/phantom/{STUDY}/Phantom-v1.0-small",
    dataset=f"results/{STUDY}/dataset",
    gan=f"results/{STUDY}/gan/{{recipe}}/{{fraction}}/draw{{draw}}/{{finding}}",
    bank=f"results/{STUDY}/bank/{{recipe}}/{{fraction}}/draw{{draw}}/{{finding}}",
    features=f"results/{STUDY}/features/{{fraction}}/draw{{draw}}",
    run=f"results/{STUDY}/classifier/{{arm}}/{{fraction}}/draw{{draw}}/seed{{seed}}",
    report=f"results/{STUDY}/report",
    logs=f"results/{STUDY}/logs",
    benchmarks=f"results/{STUDY}/benchmarks",


include: "workflow/rules/dataset.smk"
include: "workflow/rules/gan.smk"
include: "workflow/rules/bank.smk"
include: "workflow/rules/classifier.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/states.smk"


rule all:
    """The whole study: every classifier run, and the report."""
    default_target: True
    input:
        final_outputs(),
    localrule: True


onsuccess:
    table = Path(f"results/{STUDY}/report/summary.txt")
    if table.exists():
        print(
            f"\n{table.read_text(encoding='utf-8')}\nThe report: {table.with_name('index.html').resolve().as_uri()}\n"
        )
