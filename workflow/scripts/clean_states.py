"""Rule clean_states: remove the resume files of trainings that are done."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.core.resume import clean_states

clean_states(snakemake.params.states)
