"""Rule measure_bank: how close a bank is to real images of its finding."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.quality.bank_quality import measure

measure(
    bank=snakemake.input.bank,
    training_set=snakemake.input.training_set,
    positives=snakemake.input.positives,
    validation_set=snakemake.input.validation_set,
    features=snakemake.input.features or None,
    quality=snakemake.output.quality,
    study=snakemake.params.study,
    code=snakemake.params.code,
    **snakemake.params.quality,
    **vars(snakemake.params.without_effect),
)
