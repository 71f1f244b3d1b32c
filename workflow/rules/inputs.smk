# Input functions and params of the rules, by stage. Paths are written out, since pathvars are not
# known to functions.


# dataset


def dataset_root():
    """The folder with train.csv and the images: the user's, or the phantoms'."""
    return DATASET.root or f"resources/phantom/{STUDY}/Phantom-v1.0-small"


def dataset_csv(key):
    """One of the data set's CSV files; an empty list where there is none."""
    if DATASET.root is None:
        return f"{dataset_root()}/{'train.csv' if key == 'train_csv' else 'valid.csv'}"
    if getattr(DATASET, key) is None:
        return []
    return image_folder().table(getattr(DATASET, key))


@cache
def image_folder():
    """Where the images lie."""
    return ImageFolder(dataset_root(), DATASET.follow_links)


def check_policies():
    """What becomes of labels, and what a study needs of them, as params of the check."""
    return {
        "uncertain": DATASET.uncertain.mapping(),
        "blank": DATASET.blank,
        "target_findings": TARGETS,
        "negative_for": RECKONED if bank_names() else [],
    }


def precheck():
    """Refuse labels that cannot give an answer, where blank ones are masked; once, not in each job."""
    if not workflow.is_main_process or DATASET.root is None or DATASET.blank == "zeros":
        return
    try:
        precheck_labels(dataset_csv("train_csv"), DATASET.views, **check_policies())
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
    tables = [csv for csv in map(dataset_csv, ("train_csv", "expert_csv")) if csv]
    try:
        keys = [key for csv in tables for key, _ in named_images(csv, DATASET.views)]
        return known_fingerprint(image_folder(), keys, watched_record(), logger.info)
    except ValueError as error:
        raise WorkflowError(str(error)) from None


def watched_record():
    """Where it is noted which files the pixel cache was made from."""
    return f"results/{STUDY}/state/images/pixels_{DATASET.resolution}.csv"


def shard_file(path):
    """An output that is removed when the cache is there, unless the study keeps its shards."""
    return path if DATASET.keep_shards else temp(path)


# gan


def recipe_filters(wildcards):
    """The filters of a recipe, by name, with their parameters."""
    return filter_settings(CONFIG.recipes.get(wildcards.recipe, []))


def gan_file(wildcards, name, recipe=None, finding=None):
    """A file of the GAN of a recipe and finding (default: the wildcards') on the same draw."""
    recipe, finding = recipe or wildcards.recipe, finding or wildcards.finding
    return f"results/{STUDY}/gan/{recipe}/{wildcards.fraction}/draw{wildcards.draw}/{finding}/{name}"


def base_gan(wildcards):
    """The base GAN's checkpoint that a finding's GAN starts from; others start from nothing."""
    if wildcards.recipe in (BASE, CONDITIONAL):
        return []
    return gan_file(wildcards, "generator.pt", BASE, NEGATIVES)


def gan_settings(wildcards):
    """The section `gan`, without what concerns finding GANs alone where none is trained."""
    from_scratch = wildcards.recipe in (BASE, CONDITIONAL)
    only_findings = ("finetune_kimg", "freeze_d") if from_scratch else ()
    return settings("gan", without=only_findings)


def watch_reference(wildcards):
    """The validation images that a GAN is measured against while it trains."""
    if CONFIG.gan.evaluation is None:
        return []
    return f"results/{STUDY}/dataset/validation/{wildcards.finding}.h5"


def features_model(wildcards, spaces):
    """The network behind the feature space `classifier`, where that is used."""
    if "classifier" not in spaces:
        return []
    return (
        f"results/{STUDY}/features/{wildcards.fraction}/draw{wildcards.draw}/model.pt"
    )


def watch_spaces():
    """The feature space that GANs are measured in while they train, as a list."""
    return [] if CONFIG.gan.evaluation is None else [CONFIG.gan.evaluation.space]


def watch_features(wildcards):
    """The network whose features a GAN is measured in while it trains."""
    return features_model(wildcards, watch_spaces())


# bank


def bank_recipes():
    """Recipes whose banks some arm needs, in the order of the arms."""
    return list(
        dict.fromkeys(arm["recipe"] for arm in ARMS.values() if arm.get("recipe"))
    )


def bank_settings():
    """The section `bank`, with the largest of several ratios: smaller doses use a part of the bank."""
    return CONFIG.bank.model_copy(
        update={"ratio": CONFIG.bank.largest_ratio()}
    ).with_effect()


def positives_recipe():
    """The recipe whose training sets stand for a finding's real positives: all have the same."""
    return next(
        (recipe for recipe in bank_recipes() if recipe != CONDITIONAL),
        next(iter(CONFIG.recipes)),
    )


def bank_gan(wildcards, name):
    """A file of the GAN that a bank is drawn from: its finding's own, or the conditional one."""
    finding = ALL if wildcards.recipe == CONDITIONAL else None
    return gan_file(wildcards, name, finding=finding)


def bank_generator(wildcards):
    """The generator of a bank."""
    return bank_gan(wildcards, "generator.pt")


def bank_training_set(wildcards):
    """What the generator of a bank was trained on."""
    return bank_gan(wildcards, "training_set.h5")


def bank_positives(wildcards):
    """The real training images of a bank's finding."""
    recipe = positives_recipe() if wildcards.recipe == CONDITIONAL else None
    return gan_file(wildcards, "training_set.h5", recipe)


def bank_labels(wildcards):
    """The real positives whose labels a conditional bank's images are drawn with."""
    return bank_positives(wildcards) if wildcards.recipe == CONDITIONAL else []


def bank_sizes(wildcards):
    """Training sets that say how large a bank is: its finding's, or for the negatives those of all."""
    if wildcards.recipe != BASE:
        return [bank_positives(wildcards)]
    return [
        gan_file(wildcards, "training_set.h5", positives_recipe(), slug(finding))
        for finding in TARGETS
    ]


def selection_spaces():
    """The feature spaces that banks' images are selected in; the network that judges them is one."""
    select = CONFIG.bank.select
    if select is None:
        return []
    spaces = [] if select.copies is None else [select.space]
    return [*spaces, "classifier"] if select.implausible else spaces


def selection_features(wildcards):
    """The network that a bank's images are selected with, where one is needed."""
    return features_model(wildcards, selection_spaces())


def quality_features(wildcards):
    """The network whose features a bank is measured in."""
    return features_model(wildcards, CONFIG.quality.spaces)


def bank_names():
    """Recipe and finding of every bank of a fraction and draw; None for the base's negatives."""
    names = [
        {"recipe": recipe, "finding": finding}
        for recipe in bank_recipes()
        for finding in TARGETS
    ]
    if any(arm.get("negatives") for arm in ARMS.values()):
        names.append({"recipe": "base", "finding": None})
    return names


def cell_banks(wildcards):
    """Every bank of a fraction and draw, in the order of `bank_names`."""
    return files("bank/{}.h5", [{**name, **wildcards} for name in bank_names()])


def cell_training_sets(wildcards):
    """What the generators of these banks were trained on."""
    places = [origin({**name, **wildcards}) for name in bank_names()]
    return files("gan/{}/training_set.h5", places)


# classifier


def arm_banks(wildcards):
    """The banks of synthetic positives that an arm adds, in the order of the target findings."""
    recipe = DEFINITIONS[wildcards.arm].get("recipe")
    if recipe is None:
        return []
    folder = f"results/{STUDY}/bank/{recipe}/{wildcards.fraction}/draw{wildcards.draw}"
    return [f"{folder}/{slug(finding)}.h5" for finding in TARGETS]


def arm_negatives(wildcards):
    """The bank of synthetic negatives, where an arm adds them."""
    if not DEFINITIONS[wildcards.arm].get("negatives"):
        return []
    return f"results/{STUDY}/bank/base/{wildcards.fraction}/draw{wildcards.draw}/{NEGATIVES}.h5"


def arm_definition(wildcards):
    """An arm's definition, in a fixed order of keys."""
    return dict(sorted(DEFINITIONS[wildcards.arm].items()))


def arm_transforms(wildcards):
    """The settings of an arm's random transforms, or none."""
    name = DEFINITIONS[wildcards.arm].get("transforms")
    return None if name is None else CONFIG.transforms[name].plain()


def arm_additions(wildcards):
    """The size of the banks, where an arm adds as many other images and names no ratio."""
    arm = DEFINITIONS[wildcards.arm]
    adds = (arm.get("oversample") or arm.get("reserve")) and "ratio" not in arm
    return {key: bank_settings()[key] if adds else None for key in ("number", "ratio")}


def largest_arms():
    """What the largest arms add, where it says how long an epoch is.

    Of all arms that are defined: which of them run then changes no run of another.
    """
    if CONFIG.classifier.epoch_images != "largest":
        return []
    bank, arms = bank_settings(), [DEFINITIONS[name] for name in CONFIG.arms]
    return largest_additions(arms, bank["ratio"], bank["number"], TARGETS)


def own_weights(section):
    """A file of pretrained weights that is the user's own, not one of torchvision's."""
    weights = getattr(CONFIG, section).weights
    return [] if weights in (None, "imagenet") else weights


# report


def filter_leaks():
    """What share of the banks looks filtered: a file a fraction and draw, where there are banks."""
    return [
        f"results/{STUDY}/bank/filter_leak/{cell['fraction']}/draw{cell['draw']}.json"
        for cell in cells()
        if bank_names()
    ]


def checked_runs():
    """Every classifier run, with what its arm adds."""
    return [
        {
            **run,
            "recipe": ARMS[run["arm"]].get("recipe"),
            "negatives": ARMS[run["arm"]].get("negatives", False),
            "reserve": ARMS[run["arm"]].get("reserve", False),
        }
        for run in runs()
    ]


def predictions():
    """The predictions of every classifier run."""
    return [
        f"results/{STUDY}/classifier/{run['arm']}/{run['fraction']}/draw{run['draw']}/seed{run['seed']}/predictions.parquet"
        for run in runs()
    ]


def choosing_cells():
    """Fractions and draws whose own network chooses among GANs or images, as values of wildcards."""
    chooses = "classifier" in [*watch_spaces(), *selection_spaces()]
    return cells() if chooses and bank_names() else []


def validation_sets():
    """The validation images that some bank or GAN is measured against."""
    names = {place({**gan, **cells()[0]}).split("/")[-1] for gan in [*gans(), *banks()]}
    return [f"results/{STUDY}/dataset/validation/{name}.h5" for name in sorted(names)]


def gans():
    """Every GAN that some arm needs: those of its banks, and the base that findings' start from."""
    names = [origin(bank) for bank in bank_names()]
    if any(name["recipe"] != CONDITIONAL for name in names):
        names.append({"recipe": BASE, "finding": None})
    # Each once: the banks of the conditional GAN have one between them.
    names = [name for i, name in enumerate(names) if name not in names[:i]]
    return [{**name, **cell} for name in names for cell in cells()]


def banks():
    """Every bank that some arm needs."""
    return [{**bank, **cell} for bank in bank_names() for cell in cells()]


def origin(bank):
    """The GAN that a bank is drawn from: of the same recipe and finding, or the conditional one."""
    return {**bank, "finding": ALL} if bank["recipe"] == CONDITIONAL else bank


def place(gan):
    """A GAN's or bank's place among those of the study."""
    finding = NEGATIVES if gan["finding"] is None else slug(gan["finding"])
    return f"{gan['recipe']}/{gan['fraction']}/draw{gan['draw']}/{finding}"


def files(kind, gans):
    """One file of each GAN or bank, as in gan/{}/generator.pt."""
    return [f"results/{STUDY}/{kind.format(place(gan))}" for gan in gans]


def reported_settings():
    """The sections that the report quotes, by name."""
    sections = (
        "arms",
        "bank",
        "classifier",
        "dataset",
        "filters",
        "gan",
        "recipes",
        "transforms",
    )
    plain = CONFIG.plain()
    return {
        name: (
            settings(name)
            if hasattr(getattr(CONFIG, name), "with_effect")
            else plain[name]
        )
        for name in sections
    } | {
        "arms": {name: DEFINITIONS[name] for name in sorted(CONFIG.arms)},
        "dataset": settings("dataset") | {"uncertain": DATASET.uncertain.mapping()},
    }


# states


def training_states(wildcards):
    """By folder of resume files what its training leaves; the benchmark is written last of all."""
    found = {}
    for training in (rules.train_gan, rules.train_features, rules.train_classifier):
        state = training.params.state
        places = glob_wildcards(f"{state}/lock")
        for run in zip(*places, strict=True):
            values = dict(zip(places._fields, run, strict=True))
            found[state.format(**values)] = [
                str(path).format(**values)
                for path in [*training.output, training.benchmark]
            ]
    return found


# the whole study


def final_outputs():
    """What the study delivers: the report, and every bank with its quality and datasheet."""
    return [
        f"results/{STUDY}/dataset/label_counts.csv",
        f"results/{STUDY}/report/index.html",
        f"results/{STUDY}/report/summary.csv",
        *files("bank/{}_quality.json", banks()),
        *files("bank/{}_datasheet.md", banks()),
    ]
