"""Rule make_phantoms: draw the embedded data set of digital phantoms."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from pathlib import Path

from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.phantom import PhantomSettings

make_phantoms(
    root=Path(snakemake.output.train).parent,
    settings=PhantomSettings.of(snakemake.params.phantom),
    threads=snakemake.threads,
)
