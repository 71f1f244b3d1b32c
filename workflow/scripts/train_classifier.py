"""Rule train_classifier: train one network on what an arm adds to a fraction's real images."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.training import train

train(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    draw_csv=snakemake.input.draw_csv,
    banks=dict(zip(snakemake.params.target_findings, snakemake.input.banks, strict=False)),
    negatives=snakemake.input.negatives or None,
    model=snakemake.output.model,
    predictions=snakemake.output.predictions,
    history=snakemake.output.history,
    state=snakemake.params.state,
    arm=snakemake.params.arm,
    transforms=snakemake.params.transforms,
    findings=snakemake.params.findings,
    target_findings=snakemake.params.target_findings,
    largest=snakemake.params.largest,
    study=snakemake.params.study,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    seed=int(snakemake.wildcards.seed),
    **vars(snakemake.params.without_effect),
    code=snakemake.params.code,
    **snakemake.params.additions,
    **snakemake.params.classifier,
)
