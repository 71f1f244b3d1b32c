# From cached pixels and banks to trained classifiers and their predictions: one run for each
# arm, fraction, draw and seed. Only what an arm needs is its input or param. What arms with
# unlabelled images start from is one network for each seed. What runs of two arms look at is mapped.


rule pretrain_classifier:
    """Train one network on the images of all training patients, without any label."""
    input:
        pixels=f"<dataset>/pixels_{DATASET.resolution}.h5",
        # Not the labels, of which it is to know nothing.
        images="<dataset>/readable.parquet",
        split="<dataset>/split.csv",
        weights=own_weights("classifier"),
    output:
        model="<unlabelled>/model.pt",
        history="<unlabelled>/history.csv",
    log:
        "<logs>/pretrain_classifier/seed{seed}.log",
    benchmark:
        "<benchmarks>/pretrain_classifier/seed{seed}.tsv"
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.classifier.threads
    resources:
        **asked("pretrain_classifier", "classifier"),
    params:
        network=settings("classifier", of=NetworkSettings),
        without_effect=without_effect("classifier", of=NetworkSettings),
        self_supervised=CONFIG.classifier.self_supervised.with_effect(),
        transforms=views_of_unlabelled_images(),
        state=placed(PATHS.pattern("unlabelled_state")),
        precision=kept_precision(),
        study=STUDY,
        code=code("pretrain_classifier.py"),
    script:
        "../scripts/pretrain_classifier.py"


rule train_classifier:
    """Train one classifier on what an arm adds to a fraction's real images, and let it predict."""
    input:
        **images_of_draw(),
        banks=arm_banks,
        negatives=arm_negatives,
        pretrained=arm_pretrained,
        weights=own_weights("classifier"),
    output:
        model="<run>/model.pt",
        predictions="<run>/predictions.parquet",
        history="<run>/history.csv",
    log:
        "<logs>/train_classifier/{arm}/{fraction}/draw{draw}/seed{seed}.log",
    benchmark:
        "<benchmarks>/train_classifier/{arm}/{fraction}/draw{draw}/seed{seed}.tsv"
    priority: 10
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.classifier.threads
    resources:
        **asked("train_classifier", "classifier"),
    params:
        classifier=settings("classifier", of=TrainingSettings),
        without_effect=without_effect("classifier", of=TrainingSettings),
        arm=arm_definition,
        transforms=arm_transforms,
        sizes=arm_sizes,
        largest=largest_arms(),
        findings=DATASET.findings,
        target_findings=PLAN.targets,
        state=placed(PATHS.pattern("run_state")),
        precision=kept_precision(),
        study=STUDY,
        code=code("train_classifier.py"),
    script:
        "../scripts/train_classifier.py"


rule explain_classifiers:
    """Hide regions of a finding's images in turn: what the baseline and the main arm rest on."""
    input:
        **explained_runs(),
        pixels=f"<dataset>/pixels_{DATASET.resolution}.h5",
        labels="<dataset>/labels.parquet",
        bank=explained_bank,
    output:
        maps="<maps>",
    log:
        "<logs>/explain_classifiers/{finding}.log",
    benchmark:
        "<benchmarks>/explain_classifiers/{finding}.tsv"
    conda:
        "../../envs/maps.yaml"
    threads: CONFIG.classifier.threads
    resources:
        **asked("explain_classifiers", "classifier", holds_pixels=False),
    params:
        finding=finding_name,
        explained=explained(),
        without_effect=without_effect("classifier", of=NetworkSettings),
        study=STUDY,
        code=code("explain_classifiers.py"),
    script:
        "../scripts/explain_classifiers.py"
