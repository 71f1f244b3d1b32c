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
    place=Place.of(
        dict(snakemake.wildcards.items()), snakemake.params.study, snakemake.params.finding
    ),
    settings=TrainingSetSettings.of(snakemake.params.images),
    code=snakemake.params.code,
)
