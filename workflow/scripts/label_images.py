"""Rule label_images: settle uncertain and blank labels by the study's policies."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.labels import label_images

label_images(
    images=snakemake.input.images,
    uncertain=snakemake.params.uncertain,
    blank=snakemake.params.blank,
    output=snakemake.output.labels,
)
