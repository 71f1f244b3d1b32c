"""Rule describe_bank: a bank's datasheet, and a sample sheet of real and synthetic images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.datasheet import DatasheetInputs, DataSource, write_datasheet
from rarecxr.bank.sample_sheet import write_sheet

files, params = DatasheetInputs(**dict(snakemake.input.items())), snakemake.params
write_sheet(files.positives, files.training_set, files.bank, snakemake.output.sheet)
source = DataSource(params.source, params.terms, params.phantom)
write_datasheet(files, snakemake.output.datasheet, params.filters, source)
