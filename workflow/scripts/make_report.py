"""Rule make_report: the page that says what the study found, and its figures."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.report.page import make_report
from rarecxr.report.tables import write_console

FILES = ("training", "samples", "sheet")
TABLES = (
    "auc",
    "summary",
    "overall",
    "expert",
    "curves",
    "subgroups",
    "calibration",
    "counts",
    "patients",
    "sources",
    "runs",
    "dose",
    "ceiling",
    "worth",
    "leakage",
)

make_report(
    tables={name: snakemake.input[name] for name in TABLES},
    published=snakemake.input.published,
    gans=[
        {**gan, **{name: snakemake.input[name][number] for name in FILES}}
        for number, gan in enumerate(snakemake.params.gans)
    ],
    qualities=[
        {**bank, "quality": quality}
        for bank, quality in zip(snakemake.params.banks, snakemake.input.quality, strict=True)
    ],
    filter_leaks=snakemake.input.filter_leak,
    page=snakemake.output.page,
    quality_table=snakemake.output.quality,
    filter_table=snakemake.output.filters,
    figure_folder=snakemake.output.figures,
    study=snakemake.params.study,
    phantom=snakemake.params.phantom,
    settings=snakemake.params.settings,
    statistics=snakemake.params.statistics,
    baseline=snakemake.params.baseline,
    control=snakemake.params.control,
    **snakemake.params.report,
)
write_console(snakemake.input.summary, snakemake.output.table, snakemake.params.baseline)
