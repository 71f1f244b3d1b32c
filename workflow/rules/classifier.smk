# From cached pixels and banks to trained classifiers and their predictions: one run for each
# arm, fraction, draw and seed. Only what an arm needs is its input or param.


rule train_classifier:
    """Train one classifier on what an arm adds to a fraction's real images, and let it predict."""
    input:
        **images_of_draw(),
        banks=arm_banks,
        negatives=arm_negatives,
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
