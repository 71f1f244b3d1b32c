"""Only what depends on a change runs again: one dry run for each change to a finished study."""

import re

import pytest
from PIL import Image

REPORT = {"make_report"}
EVALUATION = REPORT | {"evaluate"}
CHECKED = EVALUATION | {"check_leakage"}
MAPPED = {"explain_classifiers"}
CLASSIFIERS = CHECKED | MAPPED | {"train_classifier"}
DRAWN = {"make_bank", "measure_bank", "describe_bank"}
BANKS = CLASSIFIERS | DRAWN | {"measure_filters"}
GANS = BANKS | {"train_gan"}
FEATURES = GANS | {"train_features"}
FILTERS = GANS | {"make_training_set"}
DRAWS = FEATURES | {"make_training_set"}
IMAGE_SETS = DRAWS | {"make_validation_set"}
# Which images can be read decides about labels and draws.
PIXELS = IMAGE_SETS | {
    "cache_pixels",
    "decode_images",
    "label_images",
    "draw_patients",
    "pretrain_classifier",
}
LABELS = IMAGE_SETS | {"label_images", "check_labels"}
SPLIT = IMAGE_SETS | {
    "draw_patients",
    "split_patients",
    "check_labels",
    "pretrain_classifier",
}
EVERYTHING = PIXELS | LABELS | SPLIT | {"index_images"}


def test_a_second_run_does_nothing(finished):
    assert finished.stale_jobs() == set()


def test_a_touched_script_is_not_stale(done):
    for script in (done.folder / "workflow/scripts").rglob("*.py"):
        script.touch()
    assert done.stale_jobs() == set()


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"report__title": "Another title"}, REPORT),
        ({"report__maps_per_finding": 2}, REPORT | MAPPED),
        ({"report__maps_per_finding": 0}, REPORT),
        ({"dataset__terms": "Not to be passed on."}, REPORT | {"describe_bank"}),
        ({"classifier__learning_rate": 0.0005}, CLASSIFIERS),
        ({"bank__ratio": 2.5}, BANKS),
        ({"bank__select__copies": 5}, BANKS),
        ({"gan__learning_rate": 0.0005}, GANS),
        ({"gan__evaluation__images": 20}, GANS),
        ({"features__learning_rate": 0.0005}, FEATURES),
        ({"filters__gaussian__sigma_px": 1.3}, FILTERS),
        ({"dataset__uncertain__default": "zeros"}, LABELS),
        ({"dataset__seed": 2}, SPLIT),
        ({"dataset__thin": {"Lung Lesion": 0.5}}, SPLIT),
        ({"dataset__reserve_percent": 16}, SPLIT),
        ({"dataset__fold": 1}, SPLIT),
        ({"classifier__epoch_images": "real"}, CLASSIFIERS),
        ({"dataset__square": "pad"}, PIXELS),
        ({"phantom__patients": 61}, set()),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_changed_setting_re_runs_what_depends_on_it(done, change, stale):
    done.configure(**change)
    assert done.stale_rules() == stale


def test_another_pretraining_without_labels_re_runs_the_arms_that_start_from_it(done):
    done.configure(classifier__self_supervised__temperature=0.5)
    jobs = done.stale_jobs()
    # Maps are of other arms.
    assert {rule for rule, _ in jobs} == (CLASSIFIERS - MAPPED) | {"pretrain_classifier"}
    arms = {re.search(r"arm=(\w+)", job)[1] for _, job in jobs if "arm=" in job}
    assert arms == {"pretrained_unlabelled"}


def test_a_changed_filter_leaves_the_base_gan_and_the_other_arms_alone(done):
    done.configure(filters__gaussian__sigma_px=1.3)
    jobs = done.stale_jobs()
    recipes = {re.search(r"recipe=(\w+)", job)[1] for _, job in jobs if "recipe=" in job}
    arms = {re.search(r"arm=(\w+)", job)[1] for _, job in jobs if "arm=" in job}
    # The bank of negatives is as large as the findings' training sets say, so it is drawn anew.
    assert {rule for rule, job in jobs if "recipe=base" in job} == DRAWN
    assert recipes == {"base", "filtered"}
    assert arms == {"filtered_gan", "balanced_gan"}


@pytest.mark.parametrize(
    ("change", "stale", "new"),
    [
        ({"dataset__fractions": [50, 100, 75]}, DRAWS, "fraction=75"),
        ({"classifier__seeds": 2}, CLASSIFIERS | {"pretrain_classifier"}, "seed=1"),
        (
            {
                "classifier__arms": [
                    "none",
                    "oversample",
                    "filtered_gan",
                    "balanced_gan",
                    "more_real",
                    "pretrained_unlabelled",
                    "standard",
                ]
            },
            CLASSIFIERS,
            "arm=standard",
        ),
        ({"draws": 2}, DRAWS | {"draw_patients"}, "draw=1"),
        ({"bank__ratio": [0.5, 2.0]}, CLASSIFIERS, "@0.5"),
    ],
    ids=["fraction", "seed", "arm", "draw", "dose"],
)
def test_an_extended_study_repeats_nothing_that_is_there(done, change, stale, new):
    done.configure(**change)
    jobs = done.stale_jobs()
    # Maps are of the first draw and seed at the largest fraction and dose.
    assert {rule for rule, _ in jobs} == stale - MAPPED
    for rule, wildcards in jobs:
        assert new in wildcards or rule in CHECKED, f"{rule}: {wildcards}"


def test_an_arm_that_is_larger_than_all_others_makes_every_run_longer(done):
    larger = {"recipe": "filtered", "negatives": True, "oversample": True}
    done.configure(arms={"balanced_gan": {"recipe": "filtered", "negatives": True}, "all": larger})
    assert done.stale_rules() == CLASSIFIERS


def test_a_planned_finding_is_added_beside_what_is_there(done):
    done.configure(dataset__target_findings=["Lung Lesion", "Consolidation"])
    jobs = done.stale_jobs()
    assert {rule for rule, _ in jobs} == FILTERS | {"make_validation_set", "check_labels"}
    # The classifiers learn from all findings' banks, and the bank of negatives is to be larger.
    together = CLASSIFIERS | {"measure_filters", "check_labels"}
    for rule, wildcards in jobs:
        negatives = "recipe=base" in wildcards and rule in DRAWN
        own = "finding=consolidation" in wildcards
        assert own or rule in together or negatives, f"{rule}: {wildcards}"


def test_an_added_finding_leaves_index_labels_and_pixels_alone(done):
    """Not a planned one: its positives are shared out too, so it repeats all from there on."""
    done.configure(dataset__target_findings=["Lung Lesion", "Fracture"])
    assert done.stale_rules() == SPLIT


def test_a_replaced_image_is_noticed(done):
    image = next((done.folder / "data").rglob("view1_frontal.jpg"))
    Image.open(image).transpose(Image.Transpose.ROTATE_180).save(image)
    assert done.stale_rules() == PIXELS
