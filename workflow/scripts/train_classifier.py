"""Rule train_classifier: train one network on what an arm adds to a fraction's real images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.run import Inputs, Outputs, Run
from rarecxr.classifier.training import train_classifier
from rarecxr.core.devices import keep_precision_in
from rarecxr.study.configuration.classifier import TrainingSettings
from rarecxr.study.configuration.training import Arm, TransformSettings
from rarecxr.study.recipes import PAIRED
from rarecxr.study.sizes import Addition, Sizes

keep_precision_in(snakemake.params.precision.folder)

files, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
arm = Arm.of(params.arm)
negatives = files.negatives or None
if arm.negatives == PAIRED:
    negatives = dict(zip(params.target_findings, negatives, strict=True))
train_classifier(
    inputs=Inputs(
        pixels=files.pixels,
        labels=files.labels,
        split=files.split,
        draw_csv=files.draw_csv,
        banks=dict(zip(params.target_findings, files.banks, strict=False)),
        negatives=negatives,
        pretrained=files.pretrained or None,
    ),
    outputs=Outputs(
        model=snakemake.output.model,
        history=snakemake.output.history,
        predictions=snakemake.output.predictions,
    ),
    state=params.state,
    run=Run(
        study=params.study,
        fraction=float(wildcards.fraction),
        draw=int(wildcards.draw),
        seed=int(wildcards.seed),
        findings=params.findings,
        target_findings=params.target_findings,
    ),
    settings=TrainingSettings.of(params.classifier, params.without_effect),
    arm=arm,
    transforms=TransformSettings.of(params.transforms) if params.transforms else None,
    sizes=Sizes.of(params.sizes) if params.sizes else None,
    largest=[Addition.of(addition) for addition in params.largest],
    code=params.code,
)
