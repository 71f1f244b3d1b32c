"""Rule check_labels: count labels, and refuse a study that they cannot give an answer to."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.label_check import check_labels

check_labels(
    images=snakemake.input.images,
    split=snakemake.input.split,
    output=snakemake.output.counts,
    **snakemake.params.labels,
)
