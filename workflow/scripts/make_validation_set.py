"""Rule make_validation_set: gather one finding's validation images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.validation_set import make_validation_set

make_validation_set(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    output=snakemake.output.validation_set,
    finding=snakemake.params.finding,
    target_findings=snakemake.params.target_findings,
    resolution=snakemake.params.resolution,
    study=snakemake.params.study,
    code=snakemake.params.code,
)
