"""Rule clean_states: remove the resume files of trainings that are done."""

from rarecxr.joblog import log_to

log_to(snakemake.log[0])

from rarecxr.resume import clean_states

clean_states(snakemake.params.states)
