"""Rule index_images: read the raw tables into one table of usable images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.image_index import index_images

index_images(
    files=dict(zip(snakemake.params.tables, snakemake.input.tables, strict=True)),
    views=snakemake.params.views,
    output=snakemake.output.images,
    **snakemake.params.source,
)
