"""What a study consists of: which GANs, banks and classifier runs its configuration asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

from rarecxr.study.arms import at_doses
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.findings import ALL
from rarecxr.study.headline import headline_arm
from rarecxr.study.paths import Paths, in_paths
from rarecxr.study.recipes import BASE, CONDITIONAL, PAIRED, UNLABELLED, paired, paired_with

# Values of wildcards: recipe, finding, fraction, draw, arm and seed, as far as they apply. A
# finding stands by its name, the negatives as None.
Values = dict[str, Any]

# Of unlabelled images there is one GAN, whatever the fraction and draw: all have it in common.
_ROOT = {"recipe": UNLABELLED, "finding": ALL, "fraction": "100", "draw": 0}


class Plan:
    """All that a configuration asks for, as values of wildcards and as paths.

    Attributes:
        configuration: the checked configuration.
        paths: of everything.
        fractions: as paths have them: 1, not 1.0.
        findings: target findings and those that may become some later: what patients are split
            by, and negatives are free of.
        definitions: every arm's definition, those at smaller doses too.
        doses: for each arm with several doses the ratio of each of its names.
        arms: the definitions of the arms that run.
        external: the settings of every external test set by its name, complete.
    """

    def __init__(self, configuration: Configuration):
        self.configuration = configuration
        self.paths = Paths(configuration.study)
        self.fractions = [format(value, "g") for value in configuration.dataset.fractions]
        self.draws = range(configuration.draws)
        self.seeds = range(configuration.classifier.seeds)
        self.targets = configuration.dataset.target_findings
        self.findings = sorted({*self.targets, *configuration.dataset.planned_findings})
        self.definitions, self.doses = at_doses(configuration.arms, configuration.bank.ratio)
        self.arms = {
            run: self.definitions[run]
            for name in configuration.classifier.arms
            for run in self.doses.get(name, [name])
        }

        self.external = configuration.dataset.external_sets()

    # Fractions, draws and runs

    def cells(self) -> list[Values]:
        """Every fraction and draw."""
        return [
            {"fraction": fraction, "draw": draw}
            for fraction in self.fractions
            for draw in self.draws
        ]

    def runs(self) -> list[Values]:
        """Every classifier run."""
        return [
            {"arm": arm, **cell, "seed": seed}
            for arm in self.arms
            for cell in self.cells()
            for seed in self.seeds
        ]

    def runs_with_additions(self) -> list[Values]:
        """Every classifier run, with whether it sees real images and what its arm adds."""
        return [
            {
                **run,
                "real": self.arms[run["arm"]].real,
                "recipe": self.arms[run["arm"]].recipe,
                "negatives": self.arms[run["arm"]].negatives,
                "reserve": self.arms[run["arm"]].reserve,
                "unlabelled": self.arms[run["arm"]].unlabelled,
            }
            for run in self.runs()
        ]

    def external_predictions(self, name: str, arm: str | None = None) -> list[str]:
        """What the runs of all arms, or of one, predict for an external set."""
        runs = [run for run in self.runs() if arm in (None, run["arm"])]
        return self.files("run", runs, external_file(name))

    def pretrainings(self) -> list[Values]:
        """Every network that some arm starts from, pretrained on images without their labels."""
        wanted = any(arm.unlabelled for arm in self.arms.values())
        return [{"seed": seed} for seed in self.seeds] if wanted else []

    # Banks and GANs

    def recipes(self) -> list[str]:
        """Recipes whose banks some arm needs, in the order of the arms."""
        return list(dict.fromkeys(arm.recipe for arm in self.arms.values() if arm.recipe))

    def banks_of_a_cell(self) -> list[Values]:
        """Recipe and finding of every bank of a fraction and draw."""
        banks = [
            {"recipe": recipe, "finding": finding}
            for recipe in self.recipes()
            for finding in self.targets
        ]
        wanted = [arm for arm in self.arms.values() if arm.negatives]
        pairs = dict.fromkeys(paired(arm.recipe) for arm in wanted if arm.negatives == PAIRED)
        banks += [{"recipe": recipe, "finding": f} for recipe in pairs for f in self.targets]
        if any(arm.negatives != PAIRED for arm in wanted):
            banks.append({"recipe": BASE, "finding": None})
        return banks

    def banks(self) -> list[Values]:
        """Every bank that some arm needs."""
        return [{**bank, **cell} for bank in self.banks_of_a_cell() for cell in self.cells()]

    def shown_banks(self) -> list[Values]:
        """The banks whose images the report shows: those of the first draw."""
        return [bank for bank in self.banks() if bank["draw"] == self.draws[0]]

    def gans(self) -> list[Values]:
        """Every GAN that some bank needs, and those that they start from."""
        wanted = [
            gan_of({**bank, **cell}) for bank in self.banks_of_a_cell() for cell in self.cells()
        ]
        # The parents of parents, too; each once: the banks of the conditional GAN have one between
        # them.
        gans = []
        while wanted:
            gans += [gan for place, gan in enumerate(wanted) if gan not in [*gans, *wanted[:place]]]
            wanted = [parent for parent in map(self.parent, wanted) if parent is not None]
        return gans

    def parent(self, gan: Mapping[str, Any]) -> Values | None:
        """The GAN that a GAN starts from; None for those that start from nothing."""
        if gan["recipe"] in (CONDITIONAL, UNLABELLED):
            return None
        if self.configuration.gan.base_images == "training":
            return dict(_ROOT)
        if gan["recipe"] == BASE:
            return None
        return {"recipe": BASE, "finding": None, "fraction": gan["fraction"], "draw": gan["draw"]}

    def recipe_of_positives(self) -> str:
        """The recipe whose training sets stand for a finding's positives: all have the same."""
        trained = [recipe for recipe in self.recipes() if recipe != CONDITIONAL]
        return next(iter([*trained, *self.configuration.recipes]))

    # The networks of the feature space `classifier`

    def evaluation(self, recipe: str) -> dict[str, Any] | None:
        """How a recipe's GANs are measured while they train, the section `gan.evaluation`.

        The network of the space `classifier` learned from labels. It must not choose where its
        choice would reach all fractions, as it does through the GAN of unlabelled images, whose
        last networks are kept.
        """
        evaluation = self.configuration.gan.evaluation
        if evaluation is None:
            return None
        chosen = evaluation.plain()
        if recipe == UNLABELLED and evaluation.space == "classifier":
            return chosen | {"space": "pixels", "keep": "last"}
        return chosen

    def evaluation_spaces(self, recipe: str = BASE) -> list[str]:
        """The feature space that a recipe's GANs are measured in."""
        evaluation = self.evaluation(recipe)
        return [] if evaluation is None else [evaluation["space"]]

    def selection_spaces(self) -> list[str]:
        """The feature spaces that banks' images are selected in."""
        select = self.configuration.bank.select
        if select is None:
            return []
        spaces = [] if select.copies is None else [select.space]
        return [*spaces, "classifier"] if select.implausible else spaces

    def choosing_cells(self) -> list[Values]:
        """Fractions and draws whose own feature network chooses among GANs or images."""
        chooses = "classifier" in [*self.evaluation_spaces(), *self.selection_spaces()]
        return self.cells() if chooses and self.banks_of_a_cell() else []

    # What the classifiers look at

    def explained(self) -> list[Values]:
        """The runs whose maps the report shows: of the baseline, and of the arm that it is about.

        Their first seed and draw at the largest fraction, and of an arm with several doses the
        largest; none without `report.maps_per_finding`.
        """
        report = self.configuration.report
        run = {"fraction": max(self.fractions, key=float), "draw": self.draws[0]}
        shown = [report.baseline, self.headline()] if report.maps_per_finding else []
        wanted = [arm for arm in shown if arm in self.arms]
        return [{"arm": arm, **run, "seed": self.seeds[0]} for arm in wanted]

    def headline(self) -> str | None:
        """The arm that the report's answer is about."""
        chosen = self.configuration
        running = chosen.classifier.arms
        definitions = {name: chosen.arms[name].given() for name in running}
        report = chosen.report
        return headline_arm(report.headline_arms, running, definitions, report.baseline)

    def explained_bank(self) -> Values | None:
        """The bank whose images have maps: of the runs' recipe, for any finding; or None."""
        banks = [{"recipe": self.definitions[run["arm"]].recipe, **run} for run in self.explained()]
        return next((bank for bank in banks if bank["recipe"]), None)

    # Paths

    def files(self, name: str, values: Iterable[Values], file: str = "") -> list[str]:
        """One path for each of several values; see `Paths.fill`."""
        return [self.paths.fill(name, one, file) for one in values]

    def filter_leaks(self) -> list[str]:
        """What share of the banks looks filtered: one file for each cell, where there are banks."""
        return self.files("filter_leak", self.cells() if self.banks_of_a_cell() else [])

    def validation_sets(self) -> list[str]:
        """The validation images that some bank or GAN is measured against."""
        names = {in_paths(one["finding"]) for one in [*self.gans(), *self.banks()]}
        return [self.validation_set(name) for name in sorted(names)]

    def validation_set(self, finding: str) -> str:
        """The validation images of one finding."""
        return self.paths.pattern("dataset", f"validation/{in_paths(finding)}.h5")

    def maps(self) -> list[str]:
        """What the classifiers look at, by finding; empty where no run is explained."""
        return self.files("maps", [{"finding": name} for name in self.targets if self.explained()])

    def deliverables(self) -> list[str]:
        """What the study delivers: the report, and every bank with its quality and datasheet."""
        return [
            self.paths.pattern("report", "index.html"),
            self.paths.pattern("report", "summary.csv"),
            self.paths.pattern("dataset", "label_counts.csv"),
            *self.files("bank", self.banks(), "_quality.json"),
            *self.files("bank", self.banks(), "_datasheet.md"),
        ]


def external_file(name: str) -> str:
    """The file in a run's folder with its predictions for an external set."""
    return f"external_{name}.parquet"


def gan_of(bank: Values) -> Values:
    """The GAN that a bank is drawn from: of the same recipe and finding, or the one of all.

    That is the conditional one, and the base for negatives that are paired with positives.
    """
    if paired_with(bank["recipe"]) is not None:
        return {**bank, "recipe": BASE, "finding": None}
    return {**bank, "finding": ALL} if bank["recipe"] == CONDITIONAL else bank
