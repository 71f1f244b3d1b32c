"""Rule measure_filters: what share of each bank looks filtered."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.quality.filter_leak import MeasuredBank, measure_filters

params = snakemake.params
files = zip(snakemake.input.banks, snakemake.input.training_sets, strict=True)
measure_filters(
    banks=[
        MeasuredBank(**place, bank=bank, training_set=training_set)
        for place, (bank, training_set) in zip(params.banks, files, strict=True)
    ],
    base_training_set=snakemake.input.base_training_set,
    output=snakemake.output.filter_leak,
    filters=params.filters,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    max_images=params.max_images,
    study=params.study,
    code=params.code,
)
