"""Rule draw_patients: put the training patients into a random order."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.split import draw_patients

draw_patients(
    images=snakemake.input.images,
    split=snakemake.input.split,
    draw=int(snakemake.wildcards.draw),
    output=snakemake.output.draw_csv,
    **snakemake.params.draws,
)
