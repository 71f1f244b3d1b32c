# From the raw CSV and images (or the embedded phantoms) to labels, split and cached pixels.

RESOLUTION = DATASET.resolution

check_tables()
precheck()


rule make_phantoms:
    """Draw the embedded data set of digital phantoms."""
    output:
        train_csv="<phantom>/train.csv",
        expert_csv="<phantom>/valid.csv",
        train=directory("<phantom>/train"),
        expert=directory("<phantom>/valid"),
    log:
        "<logs>/make_phantoms.log",
    benchmark:
        "<benchmarks>/make_phantoms.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 8
    resources:
        **asked("make_phantoms"),
    params:
        phantom=settings("phantom"),
        code=code("make_phantoms.py"),
    script:
        "../scripts/make_phantoms.py"


rule index_images:
    """Read the raw tables into one table of usable images."""
    input:
        tables=list(dataset_tables().values()),
    output:
        images="<dataset>/images.parquet",
    log:
        "<logs>/index_images.log",
    benchmark:
        "<benchmarks>/index_images.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("index_images"),
    params:
        tables=list(dataset_tables()),
        source=source_settings(DATASET),
        views=DATASET.views,
        code=code("index_images.py"),
    script:
        "../scripts/index_images.py"


rule label_images:
    """Apply the study's policies to uncertain and blank labels."""
    input:
        images="<dataset>/readable.parquet",
    output:
        labels="<dataset>/labels.parquet",
    log:
        "<logs>/label_images.log",
    benchmark:
        "<benchmarks>/label_images.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("label_images"),
    params:
        policies={"blank": DATASET.blank, "uncertain": DATASET.uncertain.mapping()},
        code=code("label_images.py"),
    script:
        "../scripts/label_images.py"


rule split_patients:
    """Choose the patients for training, validation and testing."""
    input:
        images="<dataset>/images.parquet",
    output:
        split="<dataset>/split.csv",
    log:
        "<logs>/split_patients.log",
    benchmark:
        "<benchmarks>/split_patients.tsv"
    priority: 100
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("split_patients"),
    params:
        split=split_settings(),
        code=code("split_patients.py"),
    script:
        "../scripts/split_patients.py"


rule draw_patients:
    """Put the training patients into a random order whose beginnings are the fractions."""
    input:
        images="<dataset>/readable.parquet",
        split="<dataset>/split.csv",
    output:
        draw_csv="<dataset>/draw{draw}.csv",
    log:
        "<logs>/draw_patients/{draw}.log",
    benchmark:
        "<benchmarks>/draw_patients/{draw}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("draw_patients"),
    params:
        draws=draw_settings(),
        code=code("draw_patients.py"),
    script:
        "../scripts/draw_patients.py"


rule check_labels:
    """Count labels by split, and refuse a study that they cannot give an answer to."""
    input:
        images="<dataset>/images.parquet",
        split="<dataset>/split.csv",
    output:
        counts="<dataset>/label_counts.csv",
    log:
        "<logs>/check_labels.log",
    benchmark:
        "<benchmarks>/check_labels.tsv"
    # Before the hours of decoding. Not as their input: other findings would make the cache stale, and what
    # an `ancient` input depends on is never looked at when that is made anew.
    priority: 100
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        labels=check_policies(),
        code=code("check_labels.py"),
    script:
        "../scripts/check_labels.py"


rule decode_images:
    """Decode one share of the images into square grey images."""
    input:
        images="<dataset>/images.parquet",
    output:
        shard=shard_file(f"<dataset>/pixels_{RESOLUTION}/{{shard}}.h5"),
        rejected=shard_file(f"<dataset>/pixels_{RESOLUTION}/{{shard}}_rejected.csv"),
    log:
        "<logs>/decode_images/{shard}.log",
    benchmark:
        "<benchmarks>/decode_images/{shard}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 8
    resources:
        **asked("decode_images"),
    params:
        pixels=settings("dataset", of=PixelSettings),
        without_effect=without_effect("dataset", of=PixelSettings),
        root=dataset_root(),
        watched=watched_images,
        shards=DATASET.shards,
        code=code("decode_images.py"),
    script:
        "../scripts/decode_images.py"


rule cache_pixels:
    """Join the decoded shares into one file of square grey images."""
    input:
        images="<dataset>/images.parquet",
        shards=shard_files(".h5"),
        left_out=shard_files("_rejected.csv"),
    output:
        pixels=f"<dataset>/pixels_{RESOLUTION}.h5",
        rejected=f"<dataset>/pixels_{RESOLUTION}_rejected.csv",
        readable="<dataset>/readable.parquet",
        notes=f"<dataset>/pixels_{RESOLUTION}_notes.csv",
    log:
        "<logs>/cache_pixels.log",
    benchmark:
        "<benchmarks>/cache_pixels.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("cache_pixels"),
    params:
        pixels=settings("dataset", of=PixelSettings),
        without_effect=without_effect("dataset", of=PixelSettings),
        root=dataset_root(),
        watched=watched_images,
        record=watched_record(),
        study=STUDY,
        code=code("cache_pixels.py"),
    script:
        "../scripts/cache_pixels.py"
