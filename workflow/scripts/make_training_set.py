"""Rule make_training_set: gather one finding's training images of one fraction."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.data.training_set import make_training_set
from rarecxr.study.configuration.image_sets import TrainingSetSettings
from rarecxr.study.place import Place

make_training_set(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    draw_csv=snakemake.input.draw_csv,
    output=snakemake.output.training_set,
    place=Place(
        study=snakemake.params.study,
        finding=snakemake.params.finding,
        recipe=snakemake.wildcards.recipe,
        fraction=float(snakemake.wildcards.fraction),
        draw=int(snakemake.wildcards.draw),
    ),
    settings=TrainingSetSettings.of(snakemake.params.images),
    code=snakemake.params.code,
)
