"""Rule check_leakage: whether any patient is where it must not be."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.study_files import StudyFiles, external_files
from rarecxr.leakage import check_leakage


def with_files(places, *names):
    """Places of GANs, banks or runs, each with its own files of the lists of inputs."""
    files = [snakemake.input[name] for name in names]
    return [
        {**place, **dict(zip(names, paths, strict=True))}
        for place, *paths in zip(places, *files, strict=True)
    ]


check_leakage(
    files=StudyFiles(*(snakemake.input[name] for name in StudyFiles._fields)),
    notes=snakemake.input.notes,
    gans=with_files(snakemake.params.gans, "training_set", "generator", "metadata"),
    validation_sets=snakemake.input.validation_sets,
    banks=with_files(snakemake.params.banks, "bank"),
    features=with_files(snakemake.params.features, "model"),
    pretrainings=with_files(snakemake.params.pretrainings, "pretrained"),
    runs=with_files(snakemake.params.runs, "predictions"),
    output=snakemake.output.leakage,
    external=external_files(snakemake.params.external, snakemake.input),
    pixels=snakemake.input.pixels or None,
    models=snakemake.input.models,
)
