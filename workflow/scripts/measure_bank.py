"""Rule measure_bank: how close a bank is to real images of its finding."""

from rarecxr.joblog import log_to

log_to(snakemake.log[0])

from rarecxr.quality.bank_quality import measure

measure(
    bank=snakemake.input.bank,
    training_set=snakemake.input.training_set,
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    quality=snakemake.output.quality,
    finding=snakemake.params.finding,
    target_findings=snakemake.params.target_findings,
    study=snakemake.params.study,
    code=snakemake.params.code,
    **snakemake.params.quality,
)
