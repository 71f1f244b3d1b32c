"""Rule cache_pixels: join the decoded shares into one file."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.pixel_cache import cache_pixels

cache_pixels(
    images=snakemake.input.images,
    shards=snakemake.input.shards,
    left_out=snakemake.input.left_out,
    root=snakemake.params.root,
    output=snakemake.output.pixels,
    rejected=snakemake.output.rejected,
    readable=snakemake.output.readable,
    notes=snakemake.output.notes,
    study=snakemake.params.study,
    code=snakemake.params.code,
    fingerprint=snakemake.params.watched,
    record=snakemake.params.record,
    follow_links=snakemake.params.links.follow_links,
    **snakemake.params.cache,
)
