"""Rule explain_classifiers: what two arms' classifiers rest on in images of one finding."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.explanation import ExplanationInputs, explain_classifiers

files, params = snakemake.input, snakemake.params
explained = dict(params.explained)
arms = explained.pop("arms")
explain_classifiers(
    ExplanationInputs(
        pixels=files.pixels,
        labels=files.labels,
        models=dict(zip(arms, files.models, strict=True)),
        predictions=dict(zip(arms, files.predictions, strict=True)),
        bank=files.bank or None,
    ),
    maps=snakemake.output.maps,
    finding=params.finding,
    **explained,
    study=params.study,
    device=params.without_effect.device,
    code=params.code,
)
