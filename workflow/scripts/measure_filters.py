"""Rule measure_filters: what share of each bank looks filtered."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.quality.filter_leak import measure_filters

measure_filters(
    banks=[
        {**place, "bank": bank, "training_set": training_set}
        for place, bank, training_set in zip(
            snakemake.params.banks,
            snakemake.input.banks,
            snakemake.input.training_sets,
            strict=True,
        )
    ],
    base_training_set=snakemake.input.base_training_set,
    output=snakemake.output.filter_leak,
    filters=snakemake.params.filters,
    max_images=snakemake.params.max_images,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    study=snakemake.params.study,
    code=snakemake.params.code,
)
