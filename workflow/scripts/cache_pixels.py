"""Rule cache_pixels: decode every image once into one file."""

from rarecxr.joblog import log_to

log_to(snakemake.log[0])

from rarecxr.data.cache import cache_pixels

cache_pixels(
    images=snakemake.input.images,
    root=snakemake.params.root,
    output=snakemake.output.pixels,
    rejected=snakemake.output.rejected,
    threads=snakemake.threads,
    study=snakemake.params.study,
    code=snakemake.params.code,
    **snakemake.params.cache,
)
