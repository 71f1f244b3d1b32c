"""Rule cache_pixels: join the decoded shares into one file."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.pixel_cache import CacheFiles, cache_pixels
from rarecxr.data.section_keys import OWN, keys_of
from rarecxr.study.configuration.pixels import PixelSettings

with keys_of(snakemake.params.get("section", OWN)):
    cache_pixels(
        images=snakemake.input.images,
        shards=snakemake.input.shards,
        left_out=snakemake.input.left_out,
        root=snakemake.params.root,
        output=CacheFiles(**dict(snakemake.output.items())),
        settings=PixelSettings.of(snakemake.params.pixels, snakemake.params.without_effect),
        study=snakemake.params.study,
        code=snakemake.params.code,
        fingerprint=snakemake.params.watched,
        record=snakemake.params.record,
    )
