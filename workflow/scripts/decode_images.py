"""Rule decode_images: decode one share of the images into a file of its own."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.pixel_cache import decode_images

decode_images(
    images=snakemake.input.images,
    root=snakemake.params.root,
    output=snakemake.output.shard,
    rejected=snakemake.output.rejected,
    shard=int(snakemake.wildcards.shard),
    shards=snakemake.params.shards,
    threads=snakemake.threads,
    follow_links=snakemake.params.links.follow_links,
    **snakemake.params.cache,
)
