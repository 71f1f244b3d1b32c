"""Rule make_phantoms: draw the embedded data set of digital phantoms."""

from rarecxr.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from rarecxr.data.phantom_dataset import make_phantoms

make_phantoms(
    root=Path(snakemake.output.train).parent,
    threads=snakemake.threads,
    **snakemake.params.phantom,
)
