# From the cached pixels to trained PGGANs: one base GAN a fraction, and one a finding and recipe.


def recipe_filters(wildcards):
    """The filters of a recipe, by name, with their parameters."""
    return {name: _sorted(config["filters"][name]) for name in config["recipes"].get(wildcards.recipe, [])}


def base_gan(wildcards):
    """The base GAN's checkpoint that a finding's GAN starts from; the base itself starts from nothing."""
    if wildcards.recipe == "base":
        return []
    return f"results/{STUDY}/gan/base/{wildcards.fraction}/draw{wildcards.draw}/{NEGATIVES}/generator.pt"


rule make_training_set:
    """Gather one finding's training images of one fraction, with their filtered copies."""
    input:
        pixels=f"<dataset>/pixels_{DATASET['resolution']}.h5",
        labels="<dataset>/labels.parquet",
        split="<dataset>/split.csv",
        draw_csv="<dataset>/draw{draw}.csv",
    output:
        training_set="<gan>/training_set.h5",
    log:
        "<logs>/make_training_set/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/make_training_set/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        filters=recipe_filters,
        target_findings=TARGETS,
        resolution=config["gan"]["resolution"],
        study=STUDY,
        code=code("make_training_set.py"),
    script:
        "../scripts/make_training_set.py"
