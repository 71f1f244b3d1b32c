"""Rule make_validation_set: gather one finding's validation images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.validation_set import make_validation_set
from rarecxr.study.configuration.image_sets import ValidationSetSettings

make_validation_set(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    output=snakemake.output.validation_set,
    finding=snakemake.params.finding,
    settings=ValidationSetSettings.of(snakemake.params.images),
    study=snakemake.params.study,
    code=snakemake.params.code,
)
