# From trained PGGANs to banks of synthetic images, and how close they are to real ones.


rule make_bank:
    """Draw one bank of synthetic images."""
    input:
        generator=bank_generator,
        training_set=bank_training_set,
        sizes_from=bank_sizes,
        labels_from=bank_labels,
        features=selection_features,
        paired_with=bank_pairs,
    output:
        bank="<bank>.h5",
    log:
        "<logs>/make_bank/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/make_bank/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    priority: 20
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.bank.threads
    resources:
        **asked("make_bank", "bank"),
    params:
        finding=finding_name,
        bank=bank_settings(),
        without_effect=without_effect("bank"),
        features=without_effect("features"),
        precision=kept_precision(),
        study=STUDY,
        code=code("make_bank.py"),
    script:
        "../scripts/make_bank.py"


rule measure_bank:
    """Measure how close one bank is to real images of its finding."""
    input:
        bank="<bank>.h5",
        training_set=bank_training_set,
        positives=bank_positives,
        validation_set=bank_reference,
        negatives=bank_contrast,
        features=quality_features,
        paired_with=paired_positives,
    output:
        quality="<bank>_quality.json",
    log:
        "<logs>/measure_bank/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/measure_bank/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.quality.threads
    resources:
        **asked("measure_bank", "quality"),
    params:
        quality=settings("quality"),
        without_effect=without_effect("quality"),
        features=without_effect("features"),
        precision=kept_precision(),
        study=STUDY,
        code=code("measure_bank.py"),
    script:
        "../scripts/measure_bank.py"


rule measure_filters:
    """Say what share of each bank of a fraction and draw looks filtered."""
    input:
        banks=cell_banks,
        training_sets=cell_training_sets,
        base_training_set=base_training_set,
    output:
        filter_leak="<filter_leak>",
    log:
        "<logs>/measure_filters/{fraction}/draw{draw}.log",
    benchmark:
        "<benchmarks>/measure_filters/{fraction}/draw{draw}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("measure_filters"),
    params:
        banks=PLAN.banks_of_a_cell(),
        filters=filter_settings(sorted(CONFIG.filters)),
        max_images=CONFIG.quality.max_images,
        study=STUDY,
        code=code("measure_filters.py"),
    script:
        "../scripts/measure_filters.py"


rule describe_bank:
    """Write one bank's datasheet and a sheet of its images beside real ones."""
    input:
        bank="<bank>.h5",
        positives=bank_positives,
        training_set=bank_training_set,
        quality="<bank>_quality.json",
    output:
        datasheet=shown_by_place("<bank>_datasheet.md", "Banks", "datasheet"),
        sheet="<bank>_sheet.npz",
    log:
        "<logs>/describe_bank/{recipe}/{fraction}/draw{draw}/{finding}.log",
    benchmark:
        "<benchmarks>/describe_bank/{recipe}/{fraction}/draw{draw}/{finding}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("describe_bank"),
    params:
        filters=recipe_filters,
        source=DATASET.name,
        terms=DATASET.terms,
        phantom=DATASET.root is None,
        code=code("describe_bank.py"),
    script:
        "../scripts/describe_bank.py"
