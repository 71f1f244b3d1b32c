"""Rule measure_bank: how close a bank is to real images of its finding."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.core.devices import keep_precision_in
from rarecxr.quality.bank_quality import QualityInputs, measure_bank
from rarecxr.study.configuration.bank import QualitySettings

keep_precision_in(snakemake.params.precision.folder)

params = snakemake.params
measure_bank(
    QualityInputs(
        bank=snakemake.input.bank,
        training_set=snakemake.input.training_set,
        positives=snakemake.input.positives,
        validation_set=snakemake.input.validation_set,
        negatives=snakemake.input.negatives or None,
        features=snakemake.input.features or None,
        weights_dir=params.features.weights_dir,
        paired_with=snakemake.input.paired_with or None,
    ),
    quality=snakemake.output.quality,
    settings=QualitySettings.of(params.quality, params.without_effect),
    study=params.study,
    code=params.code,
)
