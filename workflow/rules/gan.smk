# From the cached pixels to trained PGGANs: one base GAN a fraction, and one a finding and recipe.
# They come before classifiers where both could run, for the longest way to the report is theirs.


rule make_training_set:
    """Gather one finding's training images of one fraction, with their filtered copies."""
    input:
        **images_of_draw(),
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
        **asked("make_training_set"),
    params:
        finding=finding_name,
        images=training_set_settings,
        study=STUDY,
        code=code("make_training_set.py"),
    script:
        "../scripts/make_training_set.py"


rule make_validation_set:
    """Gather one finding's validation images, which synthetic ones are measured against."""
    input:
        **images_of_study(),
    output:
        validation_set="<dataset>/validation/{finding}.h5",
    log:
        "<logs>/make_validation_set/{finding}.log",
    benchmark:
        "<benchmarks>/make_validation_set/{finding}.tsv"
    priority: 20
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("make_validation_set"),
    params:
        finding=finding_name,
        images=validation_set_settings(),
        study=STUDY,
        code=code("make_validation_set.py"),
    script:
        "../scripts/make_validation_set.py"


rule train_features:
    """Train the network whose features synthetic images are measured in, on a fraction's real ones."""
    input:
        **images_of_draw(),
        weights=own_weights("features"),
    output:
        model="<features>/model.pt",
        history="<features>/history.csv",
    log:
        "<logs>/train_features/{fraction}/draw{draw}.log",
    benchmark:
        "<benchmarks>/train_features/{fraction}/draw{draw}.tsv"
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.features.threads
    resources:
        **asked("train_features", "features"),
    params:
        features=settings("features"),
        without_effect=without_effect("features"),
        findings=DATASET.findings,
        target_findings=PLAN.findings,
        state=placed(PATHS.pattern("features_state")),
        precision=kept_precision(),
        study=STUDY,
        code=code("train_features.py"),
    script:
        "../scripts/train_features.py"


rule train_gan:
    """Fit one PGGAN to one training set, starting from the fraction's base GAN."""
    input:
        images="<gan>/training_set.h5",
        base=base_gan,
        validation_set=evaluation_reference,
        features=evaluation_features,
    output:
        generator="<gan>/generator.pt",
        training="<gan>/training.csv",
        samples=shown_by_place("<gan>/samples.png", "PGGANs", "samples"),
        metadata="<gan>/generator.json",
    log:
        "<logs>/train_gan/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/train_gan/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.gan.threads
    resources:
        **asked("train_gan", "gan"),
    params:
        finding=finding_name,
        gan=gan_settings,
        without_effect=without_effect("gan"),
        features=without_effect("features"),
        state=placed(PATHS.pattern("gan_state")),
        precision=kept_precision(),
        study=STUDY,
        code=code("train_gan.py"),
    script:
        "../scripts/train_gan.py"
