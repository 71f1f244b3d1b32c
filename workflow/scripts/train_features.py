"""Rule train_features: train the network whose features synthetic images are measured in."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.classifier.feature_network import train_features

train_features(
    pixels=snakemake.input.pixels,
    labels=snakemake.input.labels,
    split=snakemake.input.split,
    draw_csv=snakemake.input.draw_csv,
    model=snakemake.output.model,
    history=snakemake.output.history,
    state=snakemake.params.state,
    findings=snakemake.params.findings,
    target_findings=snakemake.params.target_findings,
    study=snakemake.params.study,
    fraction=float(snakemake.wildcards.fraction),
    draw=int(snakemake.wildcards.draw),
    **vars(snakemake.params.without_effect),
    code=snakemake.params.code,
    **snakemake.params.features,
)
