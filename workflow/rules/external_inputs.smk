# Input functions and params of the rules about external test sets.


def external_of(wildcards):
    """The settings of an external set."""
    return PLAN.external[wildcards.external]


def external_section(wildcards):
    """Where they stand, for messages."""
    return f"dataset.external.{wildcards.external}"


@cache
def tables_of_external(name):
    """Path of each of its tables, by what the format calls it."""
    return {
        key: users_file(path) for key, path in tables_of(PLAN.external[name]).items()
    }


def external_tables(wildcards):
    """The paths of its tables."""
    return list(tables_of_external(wildcards.external).values())


def external_roles(wildcards):
    """What the format calls them."""
    return list(tables_of_external(wildcards.external))


def external_source(wildcards):
    """How they are read, and which images count."""
    external = external_of(wildcards)
    return source_settings(external) | {
        "only": external.only,
        "section": external_section(wildcards),
    }


def external_views(wildcards):
    """The views that are used."""
    return external_of(wildcards).views


def external_root(wildcards):
    """The folder with the images."""
    return external_of(wildcards).root


def external_shards(wildcards):
    """Number of jobs that decode them."""
    return external_of(wildcards).shards


def pixels_of_external(name):
    """How its images become pixels: as the study's own."""
    own = {
        key: getattr(PLAN.external[name], key)
        for key in ("follow_links", "max_rejected")
    }
    return DATASET.part(PixelSettings).model_copy(update=own)


def external_pixels(wildcards):
    """Of these settings those with an effect."""
    return pixels_of_external(wildcards.external).with_effect()


def external_without_effect(wildcards):
    """The others."""
    others = pixels_of_external(wildcards.external).without_effect()
    return SimpleNamespace(**others)


def external_record(wildcards):
    """Where it is noted which files the pixel cache of an external set was made from."""
    name = f"external_{wildcards.external}_pixels_{DATASET.resolution}.csv"
    return placed(PATHS.pattern("images_state", name))


def watched_external(wildcards):
    """As `watched_images`, of an external set."""
    return fingerprint_of_external(wildcards.external)


@cache
def fingerprint_of_external(name):
    """The same by its name, taken once for all jobs."""
    external = PLAN.external[name]
    if not external.watch_images:
        return None
    try:
        folder = ImageFolder(external.root, external.follow_links)
        keys = list(named_keys(external, tables_of_external(name)))
        record = external_record(SimpleNamespace(external=name))
        return known_fingerprint(folder, keys, record, logger.info)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def external_shard_files(end):
    """A file of every shard of its pixel cache, in their order, as a function of the set."""
    folder = f"{PATHS.pattern('external')}/pixels_{DATASET.resolution}"
    return lambda wildcards: [
        f"{folder}/{shard}{end}".format(external=wildcards.external)
        for shard in range(external_shards(wildcards))
    ]


def external_policies(wildcards):
    """What an external set calls the findings, and what becomes of its labels."""
    external = external_of(wildcards)
    names = {f: external.names_of(f) for f in [*DATASET.findings, NO_FINDING]}
    return {
        "blank": external.blank,
        "uncertain": external.uncertain.mapping(),
        "names": dict(sorted(names.items())),
        "needed": sorted({*PLAN.targets, *external.labels}),
        "section": external_section(wildcards),
    }


def arm_models(wildcards):
    """The networks of all runs of an arm."""
    runs = [run for run in PLAN.runs() if run["arm"] == wildcards.arm]
    return PLAN.files("run", runs, "model.pt")


def arm_predictions():
    """What they predict for an external set, in the same order."""
    cells = [{**cell, "seed": seed} for cell in PLAN.cells() for seed in PLAN.seeds]
    file = external_file("{external}")
    return [f"{PATHS.fill('run', cell, arm='{arm}')}/{file}" for cell in cells]


def external_files():
    """The external test sets, and what all runs predict for them."""
    names = list(PLAN.external)
    kinds = {
        "labels": "labels.parquet",
        "pixels": f"pixels_{DATASET.resolution}.h5",
        "rejected": f"pixels_{DATASET.resolution}_rejected.csv",
    }
    files = {
        f"external_{kind}": PLAN.files(
            "external", [{"external": n} for n in names], file
        )
        for kind, file in kinds.items()
    }
    predictions = [PLAN.external_predictions(name) for name in names]
    return files | {"external_predictions": sum(predictions, [])}


def networks_of_external_tests():
    """What predicted the external sets, and the images that it may have learned from."""
    if not PLAN.external:
        return {"models": [], "pixels": []}
    return {
        "models": PLAN.files("run", PLAN.runs(), "model.pt"),
        "pixels": f"<dataset>/pixels_{DATASET.resolution}.h5",
    }
