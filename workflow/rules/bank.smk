# From trained PGGANs to banks of synthetic images, and how close they are to real ones.


def bank_recipes():
    """Recipes whose banks some arm needs, in the order of the arms."""
    return list(
        dict.fromkeys(arm["recipe"] for arm in ARMS.values() if arm.get("recipe"))
    )


def bank_sizes(wildcards):
    """Training sets that say how large a bank is: its own, or for the negatives those of all findings.

    Every recipe has the same real positives, so that the first one's training sets do for all.
    """
    place = f"results/{STUDY}/gan/{{}}/{wildcards.fraction}/draw{wildcards.draw}/{{}}/training_set.h5"
    if wildcards.recipe != "base":
        return [place.format(wildcards.recipe, wildcards.finding)]
    return [place.format(bank_recipes()[0], slug(finding)) for finding in TARGETS]


rule make_bank:
    """Draw one bank of synthetic images."""
    input:
        generator="<gan>/generator.pt",
        training_set="<gan>/training_set.h5",
        sizes_from=bank_sizes,
    output:
        bank="<bank>.h5",
    log:
        "<logs>/make_bank/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/make_bank/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["bank"]["threads"]
    resources:
        gpu=gpus("bank"),
        mem_mb=8000,
        runtime=120,
    params:
        bank=settings("bank"),
        study=STUDY,
        code=code("make_bank.py"),
    script:
        "../scripts/make_bank.py"


rule measure_bank:
    """Measure how close one bank is to real images of its finding."""
    input:
        bank="<bank>.h5",
        training_set="<gan>/training_set.h5",
        pixels=f"<dataset>/pixels_{DATASET['resolution']}.h5",
        labels="<dataset>/labels.parquet",
        split="<dataset>/split.csv",
    output:
        quality="<bank>_quality.json",
    log:
        "<logs>/measure_bank/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/measure_bank/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["quality"]["threads"]
    resources:
        gpu=gpus("quality"),
        mem_mb=8000,
        runtime=120,
    params:
        quality=settings("quality"),
        finding=finding_name,
        target_findings=TARGETS,
        study=STUDY,
        code=code("measure_bank.py"),
    script:
        "../scripts/measure_bank.py"
