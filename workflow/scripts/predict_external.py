"""Rule predict_external: let trained classifiers predict the images of an external test set."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.external import predict_external

predict_external(
    models=snakemake.input.models,
    pixels=snakemake.input.pixels,
    images=snakemake.input.images,
    outputs=snakemake.output.predictions,
    external=snakemake.wildcards.external,
    study=snakemake.params.study,
    threads=snakemake.params.threads,
    device=snakemake.params.without_effect.device,
    pixel_memory_mib=snakemake.params.without_effect.pixel_memory_mib,
    code=snakemake.params.code,
)
