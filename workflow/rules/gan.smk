# From the cached pixels to trained PGGANs: one base GAN a fraction, and one a finding and recipe.
# They come before classifiers where both could run, for the longest way to the report is theirs.


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
    priority: 20
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=memory("make_training_set"),
        runtime=minutes("make_training_set"),
    params:
        finding=finding_name,
        filters=recipe_filters,
        target_findings=TARGETS,
        resolution=config["gan"]["resolution"],
        study=STUDY,
        code=code("make_training_set.py"),
    script:
        "../scripts/make_training_set.py"


rule train_gan:
    """Fit one PGGAN to one training set, starting from the fraction's base GAN."""
    input:
        images="<gan>/training_set.h5",
        base=base_gan,
    output:
        generator="<gan>/generator.pt",
        training="<gan>/training.csv",
        samples=report(
            "<gan>/samples.png",
            category="PGGANs",
            subcategory="{recipe}",
            labels={
                "finding": "{finding}",
                "fraction": "{fraction} %",
                "draw": "{draw}",
            },
            caption="../report/samples.rst",
        ),
        metadata="<gan>/generator.json",
    log:
        "<logs>/train_gan/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/train_gan/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: config["gan"]["threads"]
    resources:
        # One task for all of them, which starts the processes of further GPUs itself: never `tasks`,
        # with which SLURM would start the script once a GPU.
        gpu=gpus("gan"),
        mem_mb=memory("train_gan"),
        runtime=minutes("train_gan"),
    params:
        gan=gan_settings,
        state=f"results/{STUDY}/state/gan/{{recipe}}/{{fraction}}/draw{{draw}}/{{finding}}",
        study=STUDY,
        code=code("train_gan.py"),
    script:
        "../scripts/train_gan.py"
