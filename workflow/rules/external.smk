# External test sets: read, decoded and labelled as the study's own data set is, and predicted by
# every trained classifier. Nothing that is trained, validated or chosen comes from here.


use rule index_images as index_external with:
    input:
        tables=external_tables,
    output:
        images="<external>/images.parquet",
    log:
        "<logs>/index_external/{external}.log",
    benchmark:
        "<benchmarks>/index_external/{external}.tsv"
    params:
        tables=external_roles,
        source=external_source,
        views=external_views,


use rule decode_images as decode_external with:
    input:
        images="<external>/images.parquet",
    output:
        shard=shard_file(f"<external>/pixels_{RESOLUTION}/{{shard}}.h5"),
        rejected=shard_file(f"<external>/pixels_{RESOLUTION}/{{shard}}_rejected.csv"),
    log:
        "<logs>/decode_external/{external}/{shard}.log",
    benchmark:
        "<benchmarks>/decode_external/{external}/{shard}.tsv"
    params:
        pixels=external_pixels,
        without_effect=external_without_effect,
        root=external_root,
        watched=watched_external,
        shards=external_shards,
        section=external_section,


use rule cache_pixels as cache_external with:
    input:
        images="<external>/images.parquet",
        shards=external_shard_files(".h5"),
        left_out=external_shard_files("_rejected.csv"),
    output:
        pixels=f"<external>/pixels_{RESOLUTION}.h5",
        rejected=f"<external>/pixels_{RESOLUTION}_rejected.csv",
        readable="<external>/readable.parquet",
        notes=f"<external>/pixels_{RESOLUTION}_notes.csv",
    log:
        "<logs>/cache_external/{external}.log",
    benchmark:
        "<benchmarks>/cache_external/{external}.tsv"
    params:
        pixels=external_pixels,
        without_effect=external_without_effect,
        root=external_root,
        watched=watched_external,
        record=external_record,
        section=external_section,


use rule label_images as label_external with:
    input:
        images="<external>/readable.parquet",
    output:
        labels="<external>/labels.parquet",
    log:
        "<logs>/label_external/{external}.log",
    benchmark:
        "<benchmarks>/label_external/{external}.tsv"
    params:
        policies=external_policies,


rule predict_external:
    """Let all trained classifiers of an arm predict the images of an external test set."""
    input:
        models=arm_models,
        pixels=f"<external>/pixels_{RESOLUTION}.h5",
        # Not the labels, which no prediction depends on.
        images="<external>/readable.parquet",
    output:
        predictions=arm_predictions(),
    log:
        "<logs>/predict_external/{external}/{arm}.log",
    benchmark:
        "<benchmarks>/predict_external/{external}/{arm}.tsv"
    priority: 5
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.classifier.threads
    resources:
        **asked("predict_external", "classifier"),
    params:
        threads=CONFIG.classifier.threads,
        without_effect=without_effect("classifier", of=NetworkSettings),
        study=STUDY,
        code=code("predict_external.py"),
    script:
        "../scripts/predict_external.py"
