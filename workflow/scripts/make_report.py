"""Rule make_report: the page that says what the study found, and its figures."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from pathlib import Path

from rarecxr.report.page import make_report

FILES = ("training", "samples", "sheet")

make_report(
    tables=Path(snakemake.input.leakage).parent,
    folder=Path(snakemake.output.page).parent,
    notes=snakemake.input.notes,
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
    maps=snakemake.input.maps,
    study=snakemake.params.study,
    settings=snakemake.params.settings,
)
