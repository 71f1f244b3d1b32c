# Input functions and params of the rules, by stage. Paths are written out, since pathvars are not
# known to functions.


# dataset


def dataset_root():
    """The folder with train.csv and the images: the user's, or the phantoms'."""
    return DATASET["root"] or f"resources/phantom/{STUDY}/Phantom-v1.0-small"


def dataset_csv(key):
    """One of the data set's CSV files; an empty list where there is none."""
    if DATASET["root"] is None:
        return f"{dataset_root()}/{'train.csv' if key == 'train_csv' else 'valid.csv'}"
    if DATASET[key] is None:
        return []
    path = f"{dataset_root()}/{DATASET[key]}"
    if not Path(dataset_root()).is_dir():
        raise WorkflowError(
            f"dataset.root: there is no folder {dataset_root()}; give the folder that holds "
            f"{DATASET['train_csv']}, or null for the embedded phantoms"
        )
    if not Path(path).is_file():
        raise WorkflowError(
            f"dataset.{key}: there is no file {path}; give the name of a CSV in that folder"
        )
    return path


def watched_images(wildcards):
    """A digest of all image files' sizes and times, so that a replaced image is noticed.

    Phantoms are a rule's output and need no watching.
    """
    if DATASET["root"] is None or not DATASET["watch_images"]:
        return None
    return image_fingerprint(dataset_root())


def shard_file(path):
    """An output that is removed when the cache is there, unless the study keeps its shards."""
    return path if DATASET["keep_shards"] else temp(path)


# gan


def recipe_filters(wildcards):
    """The filters of a recipe, by name, with their parameters."""
    return {
        name: _sorted(config["filters"][name])
        for name in config["recipes"].get(wildcards.recipe, [])
    }


def base_gan(wildcards):
    """The base GAN's checkpoint that a finding's GAN starts from; the base itself starts from nothing."""
    if wildcards.recipe == "base":
        return []
    return f"results/{STUDY}/gan/base/{wildcards.fraction}/draw{wildcards.draw}/{NEGATIVES}/generator.pt"


def gan_settings(wildcards):
    """The section `gan`, without what concerns finding GANs alone where the base is trained."""
    only_findings = ("finetune_kimg", "freeze_d") if wildcards.recipe == "base" else ()
    return settings("gan", without=only_findings)


# bank


def bank_recipes():
    """Recipes whose banks some arm needs, in the order of the arms."""
    return list(
        dict.fromkeys(arm["recipe"] for arm in ARMS.values() if arm.get("recipe"))
    )


def bank_settings():
    """The section `bank`, with the largest of several ratios: smaller doses use a part of the bank."""
    return settings("bank") | {"ratio": _sorted(largest(config["bank"]["ratio"]))}


def bank_sizes(wildcards):
    """Training sets that say how large a bank is: its own, or for the negatives those of all findings.

    Every recipe has the same real positives, so that the first one's training sets do for all.
    """
    place = f"results/{STUDY}/gan/{{}}/{wildcards.fraction}/draw{wildcards.draw}/{{}}/training_set.h5"
    if wildcards.recipe != "base":
        return [place.format(wildcards.recipe, wildcards.finding)]
    return [place.format(bank_recipes()[0], slug(finding)) for finding in TARGETS]


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
    places = [{**name, **wildcards} for name in bank_names()]
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
    return _sorted(DEFINITIONS[wildcards.arm])


def arm_transforms(wildcards):
    """The settings of an arm's random transforms, or none."""
    name = DEFINITIONS[wildcards.arm].get("transforms")
    return None if name is None else _sorted(config["transforms"][name])


def arm_repetition(wildcards):
    """The size of the banks, where an arm repeats as many real positives and names no ratio."""
    arm = DEFINITIONS[wildcards.arm]
    repeats = arm.get("oversample", False) and "ratio" not in arm
    return {
        key: bank_settings()[key] if repeats else None for key in ("number", "ratio")
    }


def own_weights():
    """A file of pretrained weights that is the user's own, not one of torchvision's."""
    weights = config["classifier"]["weights"]
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
        }
        for run in runs()
    ]


def predictions():
    """The predictions of every classifier run."""
    return [
        f"results/{STUDY}/classifier/{run['arm']}/{run['fraction']}/draw{run['draw']}/seed{run['seed']}/predictions.parquet"
        for run in runs()
    ]


def gans():
    """Every GAN that some arm needs: a finding's of each recipe, and the base it starts from."""
    names = [(recipe, finding) for recipe in bank_recipes() for finding in TARGETS]
    if names:
        names.append(("base", None))
    return [
        {"recipe": recipe, "finding": finding, **cell}
        for recipe, finding in names
        for cell in cells()
    ]


def banks():
    """Every bank that some arm needs: as `gans`, the base's only where an arm adds negatives."""
    names = [(bank["recipe"], bank["finding"]) for bank in bank_names()]
    return [gan for gan in gans() if (gan["recipe"], gan["finding"]) in names]


def place(gan):
    """A GAN's or bank's place among those of the study."""
    finding = NEGATIVES if gan["finding"] is None else slug(gan["finding"])
    return f"{gan['recipe']}/{gan['fraction']}/draw{gan['draw']}/{finding}"


def files(kind, gans):
    """One file of each GAN or bank, as in gan/{}/generator.pt."""
    return [f"results/{STUDY}/{kind.format(place(gan))}" for gan in gans]


# states


def training_states(wildcards):
    """By folder of resume files what its training leaves; the benchmark is written last of all."""
    found = {}
    for training in (rules.train_gan, rules.train_classifier):
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
    """What the study delivers: the report, and every bank with its quality."""
    return [
        f"results/{STUDY}/report/index.html",
        f"results/{STUDY}/report/summary.csv",
        *files("bank/{}_quality.json", banks()),
        *filter_leaks(),
    ]
