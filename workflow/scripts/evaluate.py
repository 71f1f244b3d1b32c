"""Rule evaluate: measure all runs on the test patients, with intervals, changes and verdicts."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.study_files import StudyFiles, external_files
from rarecxr.statistics.design import Design
from rarecxr.statistics.evaluation import evaluate
from rarecxr.study.configuration.statistics import StatisticsSettings

evaluate(
    files=StudyFiles(*(snakemake.input[name] for name in StudyFiles._fields)),
    predictions=snakemake.input.predictions,
    outputs=dict(snakemake.output.items()),
    design=Design(**snakemake.params.design),
    settings=StatisticsSettings.of(snakemake.params.statistics),
    threads=snakemake.threads,
    external=external_files(snakemake.params.external, snakemake.input),
)
