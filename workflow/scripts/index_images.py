"""Rule index_images: read the raw CSV files into one table of usable images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.chexpert import index_images

index_images(
    train_csv=snakemake.input.train_csv,
    expert_csv=snakemake.input.expert_csv or None,
    views=snakemake.params.views,
    output=snakemake.output.images,
)
