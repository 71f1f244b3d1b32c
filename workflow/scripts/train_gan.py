"""Rule train_gan: fit one PGGAN to one finding's training images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.core.devices import keep_precision_in
from rarecxr.gan.training import GanInputs, GanOutputs, train_gan
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.place import Place

keep_precision_in(snakemake.params.precision.folder)

params = snakemake.params
train_gan(
    GanInputs(
        images=snakemake.input.images,
        base=snakemake.input.base or None,
        validation_set=snakemake.input.validation_set or None,
        features=snakemake.input.features or None,
        weights_dir=params.features.weights_dir,
    ),
    GanOutputs(**dict(snakemake.output.items())),
    state=params.state,
    settings=GanSettings.of(params.gan, params.without_effect),
    place=Place.of(dict(snakemake.wildcards.items()), params.study, params.finding),
    code=params.code,
)
