"""Rule make_bank: draw one bank of synthetic images from a trained generator."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.generate import make_bank

make_bank(
    generator=snakemake.input.generator,
    training_set=snakemake.input.training_set,
    sizes_from=list(snakemake.input.sizes_from),
    labels_from=snakemake.input.labels_from or None,
    features=snakemake.input.features or None,
    bank=snakemake.output.bank,
    study=snakemake.params.study,
    finding=snakemake.params.finding,
    recipe=snakemake.wildcards.recipe,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    code=snakemake.params.code,
    **snakemake.params.bank,
    **vars(snakemake.params.without_effect),
)
