"""Rule evaluate: measure all runs on the test patients, with intervals, changes and verdicts."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.statistics.evaluation import evaluate

evaluate(
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    draws=snakemake.input.draws,
    rejected=snakemake.input.rejected,
    predictions=snakemake.input.predictions,
    outputs=dict(snakemake.output.items()),
    runs=snakemake.params.runs,
    doses=snakemake.params.doses,
    target_findings=snakemake.params.target_findings,
    baseline=snakemake.params.baseline,
    control=snakemake.params.control,
    ceiling=snakemake.params.ceiling,
    threads=snakemake.threads,
    **snakemake.params.statistics,
)
