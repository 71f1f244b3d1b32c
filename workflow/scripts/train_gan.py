"""Rule train_gan: fit one PGGAN to one finding's training images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.gan.training import train

train(
    images=snakemake.input.images,
    base=snakemake.input.base or None,
    validation_set=snakemake.input.validation_set or None,
    features=snakemake.input.features or None,
    generator=snakemake.output.generator,
    log_csv=snakemake.output.training,
    samples=snakemake.output.samples,
    metadata=snakemake.output.metadata,
    state=snakemake.params.state,
    study=snakemake.params.study,
    finding=snakemake.params.finding,
    recipe=snakemake.wildcards.recipe,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    code=snakemake.params.code,
    **snakemake.params.gan,
    **vars(snakemake.params.without_effect),
)
