# From trained PGGANs to banks of synthetic images, and how close they are to real ones.


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
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: config["bank"]["threads"]
    resources:
        gpu=gpus("bank"),
        mem_mb=memory("make_bank"),
        runtime=minutes("make_bank"),
    params:
        bank=bank_settings(),
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
        mem_mb=memory("measure_bank"),
        runtime=minutes("measure_bank"),
    params:
        quality=settings("quality"),
        finding=finding_name,
        target_findings=TARGETS,
        study=STUDY,
        code=code("measure_bank.py"),
    script:
        "../scripts/measure_bank.py"
