"""Rule train_features: train the network whose features synthetic images are measured in."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.feature_network import train_features
from rarecxr.classifier.run import Inputs, Outputs
from rarecxr.core.devices import keep_precision_in
from rarecxr.study.configuration.classifier import FeatureSettings

keep_precision_in(snakemake.params.precision.folder)

files, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
train_features(
    inputs=Inputs(
        pixels=files.pixels, labels=files.labels, split=files.split, draw_csv=files.draw_csv
    ),
    outputs=Outputs(model=snakemake.output.model, history=snakemake.output.history),
    state=params.state,
    study=params.study,
    fraction=float(wildcards.fraction),
    draw=int(wildcards.draw),
    findings=params.findings,
    target_findings=params.target_findings,
    settings=FeatureSettings.of(params.features, params.without_effect),
    code=params.code,
)
