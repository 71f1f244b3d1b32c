"""Rule make_training_set: gather one finding's training images of one fraction."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.training_set import make_training_set

make_training_set(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    draw_csv=snakemake.input.draw_csv,
    output=snakemake.output.training_set,
    finding=snakemake.params.finding,
    target_findings=snakemake.params.target_findings,
    findings=snakemake.params.findings,
    filters=snakemake.params.filters,
    resolution=snakemake.params.resolution,
    recipe=snakemake.wildcards.recipe,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    study=snakemake.params.study,
    code=snakemake.params.code,
)
