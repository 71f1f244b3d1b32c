"""Rule describe_bank: a bank's datasheet, and a sample sheet of real and synthetic images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.datasheet import DatasheetInputs, DataSource, describe_bank

params = snakemake.params
describe_bank(
    files=DatasheetInputs(**dict(snakemake.input.items())),
    datasheet=snakemake.output.datasheet,
    sheet=snakemake.output.sheet,
    filters=params.filters,
    source=DataSource(params.source, params.terms, params.phantom),
)
