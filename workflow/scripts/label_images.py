"""Rule label_images: apply the study's policies to uncertain and blank labels."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.labels import label_images

label_images(
    images=snakemake.input.images,
    output=snakemake.output.labels,
    **snakemake.params.policies,
)
