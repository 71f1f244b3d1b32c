"""What a study consists of, and where it lies."""

import pytest

from rarecxr.study.configuration.study import Configuration
from rarecxr.study.findings import ALL, FINDINGS, NEGATIVES
from rarecxr.study.paths import Paths, in_paths
from rarecxr.study.plan import Plan, gan_of

CELL = {"fraction": "12.5", "draw": 3}
PATHS = Paths("lungs")
TWO = ["Fracture", "Edema"]


@pytest.mark.parametrize(
    ("name", "values", "file", "path"),
    [
        ("dataset", {}, "split.csv", "results/lungs/dataset/split.csv"),
        ("phantom", {}, "train.csv", "resources/phantom/lungs/Phantom-v1.0-small/train.csv"),
        ("features", CELL, "model.pt", "results/lungs/features/12.5/draw3/model.pt"),
        (
            "gan",
            {**CELL, "recipe": "plain", "finding": "Pleural Other"},
            "generator.pt",
            "results/lungs/gan/plain/12.5/draw3/pleural_other/generator.pt",
        ),
        (
            "bank",
            {**CELL, "recipe": "base", "finding": None},
            "_quality.json",
            "results/lungs/bank/base/12.5/draw3/negatives_quality.json",
        ),
        ("filter_leak", CELL, "", "results/lungs/bank/filter_leak/12.5/draw3.json"),
        (
            "run",
            {**CELL, "arm": "gan@0.5", "seed": 2},
            "history.csv",
            "results/lungs/classifier/gan@0.5/12.5/draw3/seed2/history.csv",
        ),
        ("unlabelled", {"seed": 2}, "model.pt", "results/lungs/unlabelled/seed2/model.pt"),
        (
            "gan_state",
            {**CELL, "recipe": "conditional", "finding": ALL},
            "",
            "results/lungs/state/gan/conditional/12.5/draw3/all",
        ),
    ],
)
def test_where_things_lie(name, values, file, path):
    assert PATHS.fill(name, values, file) == path


def test_a_filled_pattern_is_the_pattern_with_its_wildcards():
    values = {"recipe": "r", "fraction": "f", "draw": "d", "finding": "g", "arm": "a", "seed": "s"}
    values["external"] = "e"
    for name, pattern in PATHS.patterns().items():
        assert PATHS.fill(name, values) == pattern.format(**values)
        assert "{" not in PATHS.fill(name, values)


def test_values_that_are_named_replace_those_of_the_wildcards():
    values = {**CELL, "recipe": "plain", "finding": "fracture"}
    assert PATHS.fill("gan", values, recipe="base", finding=None).endswith(
        "base/12.5/draw3/negatives"
    )


def test_every_finding_has_a_place_of_its_own():
    names = [in_paths(finding) for finding in (*FINDINGS, None, ALL)]
    assert len(set(names)) == len(names)
    # A name in paths stays what it is.
    assert [in_paths(name) for name in names] == names
    assert in_paths(None) == NEGATIVES


def plan(arms, **changes):
    sections = {"classifier": {"arms": arms}, "dataset": {"target_findings": ["Fracture", "Edema"]}}
    return Plan(Configuration(**(sections | changes)))


def test_the_reference_study_in_numbers():
    """Two findings, two fractions, one recipe: banks, and GANs with each base."""
    study = Plan(Configuration())
    assert study.fractions == ["20", "100"]
    assert study.recipes() == ["plain"]
    assert len(study.banks()) == 2 * 2
    assert len(study.gans()) == 2 * (2 + 1)
    assert len(study.runs()) == 4 * 2
    assert len(study.deliverables()) == 3 + 2 * 4
    assert len(study.validation_sets()) == 3


def test_no_arm_with_a_recipe_needs_no_gan():
    study = plan(["none", "oversample"])
    assert study.banks() == study.gans() == study.choosing_cells() == []
    assert study.validation_sets() == study.filter_leaks() == []
    assert study.recipe_of_positives() == "plain"
    assert study.deliverables() == [
        "results/demo/report/index.html",
        "results/demo/report/summary.csv",
        "results/demo/dataset/label_counts.csv",
    ]


def test_a_recipe_needs_the_base_and_negatives_a_bank_of_their_own():
    cell = {"fraction": "100", "draw": 0}
    one = plan(["none", "gan"], dataset={"fractions": [100], "target_findings": ["Fracture"]})
    fracture = {"recipe": "plain", "finding": "Fracture", **cell}
    base = {"recipe": "base", "finding": None, **cell}
    assert one.banks() == [fracture]
    assert one.gans() == [fracture, base]
    with_negatives = plan(
        ["none", "balanced_gan"], dataset={"fractions": [100], "target_findings": ["Fracture"]}
    )
    assert with_negatives.banks() == [fracture, base]


def test_negatives_in_pairs_have_a_bank_for_each_finding_from_the_base():
    study = plan(["none", "paired_gan"], dataset={"fractions": [100], "target_findings": TWO})
    cell = {"fraction": "100", "draw": 0}
    banks = [(bank["recipe"], bank["finding"]) for bank in study.banks()]
    assert banks == [(recipe, f) for recipe in ("plain", "paired_plain") for f in TWO]
    base = {"recipe": "base", "finding": None, **cell}
    assert [gan_of(bank) for bank in study.banks()][2:] == [base] * 2
    assert len(study.gans()) == 3
    both = plan(["none", "paired_gan", "balanced_gan"], dataset={"target_findings": TWO})
    assert {bank["recipe"] for bank in both.banks()} == {"plain", "paired_plain", "base"}


def test_one_gan_of_unlabelled_images_comes_before_those_of_every_fraction_and_draw():
    sections = {"gan": {"base_images": "training"}, "dataset": {"fractions": [5, 50]}}
    study = plan(["none", "gan", "conditional_gan"], draws=2, **sections)
    root = {"recipe": "unlabelled", "finding": ALL, "fraction": "100", "draw": 0}
    gans = study.gans()
    assert gans.count(root) == 1
    assert len(gans) == 1 + 4 * (len(study.targets) + 1)
    parents = {gan["recipe"]: study.parent(gan) for gan in gans}
    assert parents == {"plain": root, "conditional": None, "unlabelled": None}
    # Negatives are the fraction's own, by their labels.
    balanced = plan(["none", "balanced_gan"], **sections)
    bases = [gan for gan in balanced.gans() if gan["recipe"] == "base"]
    assert [gan["fraction"] for gan in bases] == ["5", "50"]
    assert [balanced.parent(gan) for gan in bases] == [root, root]
    assert len(balanced.gans()) == 1 + 2 * (len(study.targets) + 1)


def test_labels_choose_nothing_of_the_gan_of_unlabelled_images():
    sections = {"gan": {"base_images": "training", "evaluation": {"keep": "best"}}}
    study = plan(["none", "gan"], **sections)
    unlabelled, base = study.evaluation("unlabelled"), study.evaluation("base")
    assert base == study.configuration.gan.evaluation.plain()
    assert unlabelled == base | {"space": "pixels", "keep": "last"}
    assert study.evaluation_spaces("unlabelled") == ["pixels"]
    assert study.evaluation_spaces("plain") == ["classifier"]
    sections["gan"]["evaluation"]["space"] = "random"
    assert plan(["none", "gan"], **sections).evaluation("unlabelled")["keep"] == "best"


def test_without_unlabelled_images_findings_start_from_their_fractions_base():
    study = plan(["none", "gan"])
    for one in study.gans():
        cell = {"fraction": one["fraction"], "draw": one["draw"]}
        base = {"recipe": "base", "finding": None, **cell}
        assert study.parent(one) == (None if one == base else base)


def test_the_banks_of_all_findings_have_one_conditional_gan():
    study = plan(["none", "conditional_gan"])
    gans = study.gans()
    assert [gan["recipe"] for gan in gans] == ["conditional"] * 2
    assert {gan["finding"] for gan in gans} == {ALL}
    assert len(study.banks()) == 4
    assert all(gan_of(bank) in gans for bank in study.banks())
    # The real positives are those of a recipe that has training sets by finding.
    assert study.recipe_of_positives() == "plain"


def test_planned_findings_are_taken_into_account_and_have_no_gan():
    study = plan(
        ["none", "gan"], dataset={"target_findings": ["Fracture"], "planned_findings": ["Edema"]}
    )
    assert study.findings == ["Edema", "Fracture"]
    assert {bank["finding"] for bank in study.banks()} == {"Fracture"}


def test_arms_run_at_every_dose():
    study = plan(["none", "oversample", "gan"], bank={"ratio": [2.0, 0.5]})
    assert list(study.arms) == ["none", "oversample@0.5", "oversample", "gan@0.5", "gan"]
    assert study.doses["gan"] == {"gan@0.5": 0.5, "gan": 2.0}
    assert study.arms["gan@0.5"].given() == {"ratio": 0.5, "recipe": "plain"}
    assert study.arms["gan"].given() == {"recipe": "plain"}
    assert "standard@0.5" not in study.definitions


@pytest.mark.parametrize(
    ("gan", "bank", "chooses"),
    [
        ({"evaluation": None}, {"select": None}, False),
        ({"evaluation": {"space": "pixels"}}, {"select": {"copies": None}}, False),
        ({"evaluation": {"space": "classifier"}}, {"select": None}, True),
        ({"evaluation": None}, {"select": {"space": "classifier"}}, True),
        ({"evaluation": None}, {"select": {"copies": None, "implausible": 0.1}}, True),
    ],
)
def test_the_feature_networks_that_choose_are_examined_for_leaks(gan, bank, chooses):
    study = plan(["none", "gan"], gan=gan, bank=bank)
    assert (study.choosing_cells() == study.cells()) is chooses


def test_an_arm_of_unlabelled_images_needs_one_network_for_each_seed():
    arms = ["none", "gan", "pretrained_unlabelled"]
    study = plan(["none"], classifier={"arms": arms, "seeds": 2}, draws=3)
    assert study.pretrainings() == [{"seed": 0}, {"seed": 1}]
    starts = {(run["arm"], run["unlabelled"]) for run in study.runs_with_additions()}
    assert starts == {("none", False), ("gan", False), ("pretrained_unlabelled", True)}
    assert study.arms["pretrained_unlabelled"].given() == {"unlabelled": True}
    # Nothing of it is in what the other arms are made from.
    assert study.arms["none"].given() == {}
    assert study.arms["gan"].given() == {"recipe": "plain"}
    assert plan(["none", "gan"]).pretrainings() == []


def test_several_draws_multiply_all_but_the_shown_banks():
    study = plan(["none", "gan"], draws=2)
    assert len(study.banks()) == 2 * 2 * 2
    assert {bank["draw"] for bank in study.shown_banks()} == {0}
    assert len(study.shown_banks()) == 4
