"""Rule decode_images: decode one share of the images into a file of its own."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.pixel_cache import decode_images
from rarecxr.data.section_keys import OWN, keys_of
from rarecxr.study.configuration.pixels import PixelSettings

with keys_of(snakemake.params.get("section", OWN)):
    decode_images(
        images=snakemake.input.images,
        root=snakemake.params.root,
        output=snakemake.output.shard,
        rejected=snakemake.output.rejected,
        settings=PixelSettings.of(snakemake.params.pixels, snakemake.params.without_effect),
        threads=snakemake.threads,
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.shards,
    )
