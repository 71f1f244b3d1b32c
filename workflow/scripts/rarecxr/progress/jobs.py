"""The jobs of a study, each by its rule and its place, in the order of the stages."""

from dataclasses import dataclass
from pathlib import Path

from rarecxr.study.paths import in_paths
from rarecxr.study.plan import Plan, Values

# What the stages are called, and their rules in order.
STAGES = {
    "data set": (
        "make_phantoms",
        "index_images",
        "split_patients",
        "check_labels",
        "decode_images",
        "cache_pixels",
        "label_images",
        "draw_patients",
    ),
    "image sets": ("make_training_set", "make_validation_set"),
    "feature networks": ("train_features",),
    "GANs": ("train_gan",),
    "banks": ("make_bank", "measure_bank", "measure_filters", "describe_bank"),
    "classifiers": ("pretrain_classifier", "train_classifier"),
    "external test sets": (
        "index_external",
        "decode_external",
        "cache_external",
        "label_external",
        "predict_external",
    ),
    "report": ("explain_classifiers", "check_leakage", "evaluate", "make_report"),
}
STAGE_OF = {rule: stage for stage, rules in STAGES.items() for rule in rules}


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        rule: its rule.
        place: its benchmark file below the rule's folder, without the ending; empty where the rule
            has one job.
        like: what jobs of the rule that take about as long have in common.
        values: its wildcards.
    """

    rule: str
    place: str
    like: str
    values: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """Rule and place, as logs and benchmark files have them."""
        return f"{self.rule}/{self.place}" if self.place else self.rule


def planned(plan: Plan) -> list[Job]:
    """Every job that leaves a benchmark file, once."""
    dataset = plan.configuration.dataset
    single = ["index_images", "split_patients", "check_labels", "cache_pixels", "label_images"]
    if dataset.root is None:
        single.insert(0, "make_phantoms")
    jobs = [Job(rule, "", "") for rule in single]
    jobs += [Job("decode_images", str(shard), "") for shard in range(dataset.shards)]
    jobs += [Job("draw_patients", str(draw), "") for draw in plan.draws]
    banks = plan.banks()
    if banks:
        jobs += _of_banks(plan, banks)
    jobs += [Job("pretrain_classifier", f"seed{one['seed']}", "") for one in plan.pretrainings()]
    for run in plan.runs():
        place = f"{run['arm']}/{run['fraction']}/draw{run['draw']}/seed{run['seed']}"
        pretrains = plan.definitions[run["arm"]].pretrain
        like = f"{run['fraction']}{' after pretraining' if pretrains else ''}"
        jobs.append(Job("train_classifier", place, like, tuple(run.items())))
    for name, external in plan.external.items():
        jobs += [
            Job(rule, name, "") for rule in ("index_external", "cache_external", "label_external")
        ]
        jobs += [Job("decode_external", f"{name}/{n}", name) for n in range(external.shards)]
        jobs += [Job("predict_external", f"{name}/{arm}", name) for arm in plan.arms]
    jobs += [Job("explain_classifiers", Path(path).stem, "") for path in plan.maps()]
    jobs += [Job(rule, "", "") for rule in ("check_leakage", "evaluate", "make_report")]
    return jobs


def _of_banks(plan: Plan, banks: list[Values]) -> list[Job]:
    spaces = {
        *plan.evaluation_spaces(),
        *plan.selection_spaces(),
        *plan.configuration.quality.spaces,
    }
    cells = [f"{cell['fraction']}/draw{cell['draw']}" for cell in plan.cells()]
    jobs = []
    if "classifier" in spaces:
        jobs += [Job("train_features", cell, cell.split("/")[0]) for cell in cells]
    names = sorted({in_paths(one["finding"]) for one in [*plan.gans(), *banks]})
    jobs += [Job("make_validation_set", name, "") for name in names]
    for gan in plan.gans():
        like = "from nothing" if plan.parent(gan) is None else "from another"
        jobs.append(Job("make_training_set", _place(gan), gan["recipe"]))
        jobs.append(Job("train_gan", _place(gan), like, tuple(gan.items())))
    for rule in ("make_bank", "measure_bank", "describe_bank"):
        jobs += [Job(rule, _place(bank), str(bank["fraction"])) for bank in banks]
    return jobs + [Job("measure_filters", cell, "") for cell in cells]


def _place(values: Values) -> str:
    finding = in_paths(values["finding"])
    return f"{values['recipe']}/{values['fraction']}/draw{values['draw']}/{finding}"
