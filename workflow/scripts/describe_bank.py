"""Rule describe_bank: a bank's datasheet, and a sample sheet of real and synthetic images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.datasheet import write_datasheet
from rarecxr.bank.sample_sheet import write_sheet

files = {name: snakemake.input[name] for name in ("bank", "positives", "training_set")}
write_sheet(**files, output=snakemake.output.sheet)
write_datasheet(
    **files,
    quality=snakemake.input.quality,
    output=snakemake.output.datasheet,
    filters=snakemake.params.filters,
    source=snakemake.params.source,
    terms=snakemake.params.terms,
    phantom=snakemake.params.phantom,
)
