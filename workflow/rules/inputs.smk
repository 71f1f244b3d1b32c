# Input functions and params of the rules, by stage: each looks up in the plan what its wildcards need.


# dataset


def dataset_root():
    """The folder with train.csv and the images: the user's, or the phantoms'."""
    return DATASET.root or placed(PATHS.pattern("phantom"))


@cache
def dataset_tables():
    """Path of each of the data set's tables, by what the format calls it."""
    if DATASET.root is None:
        names = {"train_csv": "train.csv", "expert_csv": "valid.csv"}
        return {key: PATHS.pattern("phantom", name) for key, name in names.items()}
    return {key: users_file(path) for key, path in tables_of(DATASET).items()}


def source_settings(dataset):
    """How a data set's tables are read, where not as CheXpert's."""
    if dataset.format == CHEXPERT:
        return {}
    columns = dataset.columns
    return {
        "format": dataset.format,
        "columns": {} if columns is None else columns.plain(),
        "view_names": dict(sorted(dataset.view_names.items())),
    }


@cache
def image_folder():
    """Where the images lie."""
    return ImageFolder(dataset_root(), DATASET.follow_links)


def check_policies():
    """What becomes of labels, and what a study needs of them, as params of the check."""
    return {
        "uncertain": DATASET.uncertain.mapping(),
        "blank": DATASET.blank,
        "target_findings": PLAN.targets,
        "negative_for": PLAN.findings if PLAN.banks_of_a_cell() else [],
    }


def check_tables():
    """Refuse findings that the tables of the data sets do not name; once, not in each job."""
    if not workflow.is_main_process:
        return
    needed = {NO_FINDING} if DATASET.blank == "no_finding" else set()
    try:
        if DATASET.root is not None:
            refuse(unknown_findings(DATASET, [*DATASET.findings, *needed]))
        for name, external in PLAN.external.items():
            section = f"dataset.external.{name}"
            with keys_of(section):
                refuse(list(unknown_labels(external, section, PLAN.targets)))
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def precheck():
    """Refuse labels that cannot give an answer, where blank ones are masked; once, not in each job."""
    if not workflow.is_main_process or DATASET.root is None or DATASET.blank == "zeros":
        return
    tables = dataset_tables()
    try:
        precheck_labels(
            next(iter(tables.values())),
            partial(labels_as_text, DATASET, tables),
            DATASET.views,
            **check_policies(),
        )
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def watched_images(wildcards):
    """A digest of all used image files' sizes and times, so that a replaced image is noticed.

    Phantoms are a rule's output and need no watching.
    """
    return images_fingerprint()


@cache
def images_fingerprint():
    """As `watched_images`, taken once for all jobs."""
    if DATASET.root is None or not DATASET.watch_images:
        return None
    try:
        keys = list(named_keys(DATASET, dataset_tables()))
        return known_fingerprint(image_folder(), keys, watched_record(), logger.info)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def watched_record():
    """Where it is noted which files the pixel cache was made from."""
    return placed(PATHS.pattern("images_state", f"pixels_{DATASET.resolution}.csv"))


def split_settings():
    """What the split of the patients depends on."""
    keys = (
        "fold",
        "reserve_percent",
        "seed",
        "test_percent",
        "thin",
        "validation_percent",
    )
    published = {"published": True} if DATASET.split == "published" else {}
    settings = chosen_settings("dataset", keys) | published
    return settings | {"target_findings": PLAN.findings}


def draw_settings():
    """What the order of the training patients depends on."""
    keys = ("min_positive_patients", "seed")
    return chosen_settings("dataset", keys) | {"target_findings": PLAN.findings}


def shard_files(end):
    """A file of every shard of the pixel cache, in their order."""
    folder = f"<dataset>/pixels_{DATASET.resolution}"
    return [f"{folder}/{shard}{end}" for shard in range(DATASET.shards)]


def shard_file(path):
    """An output that is removed when the cache is there, unless the study keeps its shards."""
    return path if DATASET.keep_shards else temp(path)


# gan


def recipe_filters(wildcards):
    """The filters of a recipe, by name, with their parameters."""
    return filter_settings(CONFIG.recipes.get(wildcards.recipe, []))


def images_of_study():
    """The images, their labels, and the split of the patients."""
    return {
        "pixels": f"<dataset>/pixels_{DATASET.resolution}.h5",
        "labels": "<dataset>/labels.parquet",
        "split": "<dataset>/split.csv",
    }


def images_of_draw():
    """The same, and the patients of every fraction of a draw."""
    return images_of_study() | {"draw_csv": "<dataset>/draw{draw}.csv"}


def validation_set_settings():
    """What a set of validation images depends on."""
    return {"resolution": CONFIG.gan.resolution, "target_findings": PLAN.findings}


def training_set_settings(wildcards):
    """What the training set of a GAN depends on."""
    return {
        "filters": recipe_filters(wildcards),
        "findings": DATASET.findings,
        **validation_set_settings(),
    }


def base_gan(wildcards):
    """The checkpoint of the GAN that a GAN starts from; some start from nothing."""
    parent = PLAN.parent(dict(wildcards.items()))
    return [] if parent is None else PATHS.fill("gan", parent, "generator.pt")


def gan_settings(wildcards):
    """The section `gan`, without what concerns fine-tuning alone where a GAN starts from nothing."""
    finetunes = PLAN.parent(dict(wildcards.items())) is not None
    without = () if finetunes else ("finetune_kimg", "freeze_d")
    if wildcards.recipe == CONDITIONAL:
        without += ("base_images",)
    return settings("gan", without) | {"evaluation": PLAN.evaluation(wildcards.recipe)}


def evaluation_reference(wildcards):
    """The validation images that a GAN is measured against while it trains."""
    measured = PLAN.evaluation_spaces(wildcards.recipe)
    return PLAN.validation_set(wildcards.finding) if measured else []


def features_model(wildcards, spaces):
    """The network behind the feature space `classifier`, where that is used."""
    return (
        PATHS.fill("features", wildcards, "model.pt") if "classifier" in spaces else []
    )


def evaluation_features(wildcards):
    """The network whose features a GAN is measured in while it trains."""
    return features_model(wildcards, PLAN.evaluation_spaces(wildcards.recipe))


# bank


def bank_settings():
    """The section `bank`, with the largest of several ratios: smaller doses use a part of the bank."""
    largest = {"ratio": CONFIG.bank.largest_ratio()}
    return CONFIG.bank.model_copy(update=largest).with_effect()


def bank_gan(wildcards, file):
    """A file of the GAN that a bank is drawn from: its finding's own, or the conditional one."""
    return PATHS.fill("gan", gan_of(dict(wildcards.items())), file)


def bank_generator(wildcards):
    """The generator of a bank."""
    return bank_gan(wildcards, "generator.pt")


def bank_training_set(wildcards):
    """What the generator of a bank was trained on."""
    return bank_gan(wildcards, "training_set.h5")


def positives(wildcards, **more):
    """The training set of a finding's real positives."""
    recipe = PLAN.recipe_of_positives()
    return PATHS.fill("gan", wildcards, "training_set.h5", recipe=recipe, **more)


def bank_positives(wildcards):
    """The real training images of a bank's finding."""
    if wildcards.recipe == CONDITIONAL:
        return positives(wildcards)
    if paired_with(wildcards.recipe) is not None:
        return base_training_set(wildcards)
    return PATHS.fill("gan", wildcards, "training_set.h5")


def paired_positives(wildcards):
    """The bank of positives that a bank of negatives is paired with, where it is."""
    recipe = paired_with(wildcards.recipe)
    return [] if recipe is None else PATHS.fill("bank", wildcards, ".h5", recipe=recipe)


def bank_pairs(wildcards):
    """The same bank, and the generator that drew it."""
    recipe = paired_with(wildcards.recipe)
    if recipe is None:
        return []
    generator = PATHS.fill("gan", wildcards, "generator.pt", recipe=recipe)
    return [paired_positives(wildcards), generator]


def bank_reference(wildcards):
    """The real validation images that a bank is measured against."""
    pair = paired_with(wildcards.recipe)
    return PLAN.validation_set(wildcards.finding if pair is None else NEGATIVES)


def bank_contrast(wildcards):
    """Real validation images without the finding that a bank of positives shows."""
    of_positives = (
        wildcards.finding != NEGATIVES and paired_with(wildcards.recipe) is None
    )
    seen = of_positives and "classifier" in CONFIG.quality.spaces
    return PLAN.validation_set(NEGATIVES) if seen else []


def bank_labels(wildcards):
    """The real positives whose labels a conditional bank's images are drawn with."""
    return positives(wildcards) if wildcards.recipe == CONDITIONAL else []


def bank_sizes(wildcards):
    """Training sets that say how large a bank is: its finding's, or for the negatives those of all.

    Negatives in pairs are as many as the positives.
    """
    if paired_with(wildcards.recipe) is not None:
        return []
    if wildcards.recipe != BASE:
        return [bank_positives(wildcards)]
    return [positives(wildcards, finding=finding) for finding in PLAN.targets]


def selection_features(wildcards):
    """The network that a bank's images are selected with, where one is needed."""
    pair = paired_with(wildcards.recipe)
    return features_model(wildcards, PLAN.selection_spaces() if pair is None else [])


def quality_features(wildcards):
    """The network whose features a bank is measured in."""
    return features_model(wildcards, CONFIG.quality.spaces)


def cell_banks(wildcards):
    """Every bank of a fraction and draw, in the order of `Plan.banks_of_a_cell`."""
    cell = dict(wildcards.items())
    return PLAN.files(
        "bank", [{**bank, **cell} for bank in PLAN.banks_of_a_cell()], ".h5"
    )


def cell_training_sets(wildcards):
    """What the generators of these banks were trained on."""
    cell = dict(wildcards.items())
    gans = [gan_of({**bank, **cell}) for bank in PLAN.banks_of_a_cell()]
    return PLAN.files("gan", gans, "training_set.h5")


def base_training_set(wildcards):
    """The negatives of a fraction and draw."""
    return PATHS.fill("gan", wildcards, "training_set.h5", recipe=BASE, finding=None)


# classifier


def arm_banks(wildcards):
    """The banks of synthetic positives that an arm adds, in the order of the target findings."""
    recipe = PLAN.definitions[wildcards.arm].recipe
    banks = (
        []
        if recipe is None
        else [{"recipe": recipe, "finding": f} for f in PLAN.targets]
    )
    return [PATHS.fill("bank", wildcards, ".h5", **bank) for bank in banks]


def arm_negatives(wildcards):
    """The bank of synthetic negatives, where an arm adds them; by finding where they are in pairs."""
    arm = PLAN.definitions[wildcards.arm]
    if not arm.negatives:
        return []
    if arm.negatives == PAIRED:
        recipe = paired(arm.recipe)
        return [
            PATHS.fill("bank", wildcards, ".h5", recipe=recipe, finding=finding)
            for finding in PLAN.targets
        ]
    return PATHS.fill("bank", wildcards, ".h5", recipe=BASE, finding=None)


def arm_pretrained(wildcards):
    """The network that an arm starts from where it is pretrained on images without labels."""
    if not PLAN.definitions[wildcards.arm].unlabelled:
        return []
    return PATHS.fill("unlabelled", wildcards, "model.pt")


def views_of_unlabelled_images():
    """The settings of the random transforms that are learned from without labels, if there are any.

    The check of the configuration saw that there are where an arm needs them.
    """
    chosen = CONFIG.transforms.get(CONFIG.classifier.self_supervised.transforms)
    return None if chosen is None else chosen.plain()


def arm_definition(wildcards):
    """An arm's definition: what differs from an arm that adds nothing."""
    return PLAN.definitions[wildcards.arm].given()


def arm_transforms(wildcards):
    """The settings of an arm's random transforms, or none."""
    name = PLAN.definitions[wildcards.arm].transforms
    return None if name is None else CONFIG.transforms[name].plain()


def arm_sizes(wildcards):
    """The size of the banks, where an arm adds as many other images and names no ratio."""
    arm = PLAN.definitions[wildcards.arm]
    adds = (arm.oversample or arm.reserve) and arm.ratio is None
    return CONFIG.bank.sizes().plain() if adds else None


def largest_arms():
    """What the largest arms add, where it says how long an epoch is.

    Of all arms that are defined: which of them run then changes no run of another.
    """
    if CONFIG.classifier.epoch_images != "largest":
        return []
    additions = largest_additions(
        CONFIG.arms.values(), CONFIG.bank.sizes(), PLAN.targets
    )
    return [addition.plain() for addition in additions]


def own_weights(section):
    """A file of pretrained weights that is the user's own, not one of torchvision's."""
    weights = getattr(CONFIG, section).weights
    return [] if weights in (None, "imagenet") else users_file(weights)


def explained_bank(wildcards):
    """The bank of the finding whose images have maps, where an arm with maps uses one."""
    bank = PLAN.explained_bank()
    return [] if bank is None else PATHS.fill("bank", bank, ".h5", **wildcards)


def explained_runs():
    """The networks that have maps, and their predictions, which say what images they are of."""
    runs = PLAN.explained()
    return {
        "models": PLAN.files("run", runs, "model.pt"),
        "predictions": PLAN.files("run", runs, "predictions.parquet"),
    }


def explained():
    """Which runs have maps, of how many images, and of which recipe the bank is."""
    runs, bank = PLAN.explained(), PLAN.explained_bank()
    run = {key: runs[0][key] for key in ("fraction", "draw", "seed")} if runs else {}
    return {
        "arms": [one["arm"] for one in runs],
        "number": CONFIG.report.maps_per_finding,
        "run": run | {"recipe": None if bank is None else bank["recipe"]},
        "threads": CONFIG.classifier.threads,
    }


# report


def study_files():
    """Who is in the study: labels, split, draws, and the images that could not be read."""
    return {
        "labels": "<dataset>/labels.parquet",
        "split": "<dataset>/split.csv",
        "draws": [f"<dataset>/draw{draw}.csv" for draw in PLAN.draws],
        "rejected": f"<dataset>/pixels_{DATASET.resolution}_rejected.csv",
    }


def tables(*names):
    """Tables of the report, by name."""
    return {name: f"<report>/{name}.csv" for name in names}


def shown(file, category, caption, patterns=(), **labels):
    """An output that Snakemake's own report shows, too, with a caption of report/."""
    return report(
        file,
        category=category,
        caption=f"../report/{caption}.rst",
        labels=labels,
        patterns=list(patterns),
    )


def shown_by_place(file, category, caption):
    """A file of each GAN or bank, likewise."""
    place = {name: f"{{{name}}}" for name in ("finding", "recipe", "draw")}
    return shown(file, category, caption, fraction="{fraction} %", **place)


def shown_table(name, label):
    """A table of the report, likewise."""
    return shown(f"<report>/{name}.csv", "Results", name, table=label)


def shown_figures(folder):
    """Each drawing in a folder, likewise."""
    patterns = ["{figure}.svg"]
    return shown(directory(folder), "Figures", "figures", patterns, figure="{figure}")


def study_design():
    """The runs of the study, and the parts that its arms play."""
    arms = [arm for arm in CONFIG.classifier.arms if arm in PLAN.doses]
    return {
        "baseline": CONFIG.report.baseline,
        "ceiling": ceiling_arm(),
        "control": CONFIG.report.control,
        "doses": {arm: PLAN.doses[arm] for arm in arms},
        "pairs": CONFIG.report.pairs,
        "runs": PLAN.runs(),
        "target_findings": PLAN.targets,
    }


def report_templates():
    """Templates of the page: not Python, so no digest of the code sees them."""
    folder = "workflow/scripts/rarecxr/report/templates"
    return [own_file(f"{folder}/page.{kind}") for kind in ("css", "html.j2", "js")]


def checked_gans():
    """What every GAN was trained on, what it gave, and what it says of itself."""
    files = {
        "training_set": "training_set.h5",
        "generator": "generator.pt",
        "metadata": "generator.json",
    }
    return {name: PLAN.files("gan", PLAN.gans(), file) for name, file in files.items()}


def shown_gans():
    """The training and the images of each GAN whose bank the report shows."""
    banks = PLAN.shown_banks()
    gans = [gan_of(bank) for bank in banks]
    return {
        "training": PLAN.files("gan", gans, "training.csv"),
        "samples": PLAN.files("gan", gans, "samples.png"),
        "sheet": PLAN.files("bank", banks, "_sheet.npz"),
    }


def ceiling_arm():
    """The first arm that adds real positives of patients set apart, and no other images; or None."""
    for name in CONFIG.classifier.arms:
        arm = CONFIG.arms[name]
        if arm.reserve and arm.recipe is None and not arm.oversample:
            return name
    return None


def reported_settings():
    """The sections that the report quotes, by name."""
    sections = {
        name: settings(name)
        for name in ("bank", "classifier", "dataset", "gan", "report")
    }
    sections["dataset"]["uncertain"] = DATASET.uncertain.mapping()
    if DATASET.format in FORMATS:
        sections["dataset"]["about"] = FORMATS[DATASET.format].about
    plain = CONFIG.plain()
    named = {name: plain[name] for name in ("filters", "recipes", "transforms")}
    arms = {name: CONFIG.arms[name].given() for name in sorted(CONFIG.arms)}
    return dict(sorted((sections | named | {"arms": arms}).items()))


# states


def training_states(wildcards):
    """By folder of resume files what its training leaves; the benchmark is written last of all."""
    found = {}
    trainings = (
        rules.train_gan,
        rules.train_features,
        rules.pretrain_classifier,
        rules.train_classifier,
    )
    for training in trainings:
        state = training.params.state
        places = glob_wildcards(f"{state}/lock")
        for run in zip(*places, strict=True):
            values = dict(zip(places._fields, run, strict=True))
            found[state.format(**values)] = [
                str(path).format(**values)
                for path in [*training.output, training.benchmark]
            ]
    return found
