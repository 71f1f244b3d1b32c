"""Rule pretrain_classifier: train one network on all training patients' images, without labels."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.pretraining import Pool, pretrain_classifier
from rarecxr.core.devices import keep_precision_in
from rarecxr.study.configuration.classifier import NetworkSettings, SelfSupervisedSettings
from rarecxr.study.configuration.training import TransformSettings

keep_precision_in(snakemake.params.precision.folder)

files, params = snakemake.input, snakemake.params
pretrain_classifier(
    pool=Pool(pixels=files.pixels, images=files.images, split=files.split),
    model=snakemake.output.model,
    history=snakemake.output.history,
    state=params.state,
    study=params.study,
    seed=int(snakemake.wildcards.seed),
    network=NetworkSettings.of(params.network, params.without_effect),
    settings=SelfSupervisedSettings.of(params.self_supervised),
    transforms=TransformSettings.of(params.transforms),
    code=params.code,
)
