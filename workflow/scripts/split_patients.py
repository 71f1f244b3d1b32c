"""Rule split_patients: choose the patients for training, validation and testing."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.split import split_patients

split_patients(
    images=snakemake.input.images,
    output=snakemake.output.split,
    **snakemake.params.split,
)
