import math

import numpy as np
import pytest
from classifier_files import FINDINGS, TARGETS, make_bank
from hdf5_files import amended

from rarecxr.classifier.examples import (
    NEGATIVE,
    POSITIVE,
    REAL,
    REPEATED,
    RESERVE,
    Block,
    Synthetic,
    assemble,
    most_examples,
    open_bank,
)
from rarecxr.study.sizes import Addition, Sizes

NAN = math.nan
# Columns: Edema, Lung Lesion, Fracture.
LABELS = np.array(
    [[1, 1, 0], [0, 1, 0], [NAN, 0, 1], [0, 1, 1], [1, 0, 0], [0, NAN, 0]], np.float32
)
BANKS = {"Lung Lesion": Synthetic("lesion.h5", 5), "Fracture": Synthetic("fracture.h5", 3)}


def arm(banks=None, negatives=None, repeated=None, dose=None, labels=LABELS, seed=0, reserve=None):
    return assemble(
        labels, FINDINGS, TARGETS, banks or {}, negatives, repeated or {}, dose, seed, reserve
    )


def rows(examples, kind):
    chosen = examples.kind == kind
    return examples.image[chosen].tolist(), examples.labels[chosen]


def test_none_is_the_real_images_as_they_are():
    examples = arm()
    assert examples.image.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(examples.labels, LABELS)
    assert (examples.kind == REAL).all()


def test_a_gan_arm_adds_each_bank_for_its_own_finding_alone():
    examples = arm(BANKS)
    places, labels = rows(examples, POSITIVE)
    assert places == [6, 7, 8, 9, 10, 11, 12, 13]
    np.testing.assert_array_equal(labels[:5], [[NAN, 1, NAN]] * 5)
    np.testing.assert_array_equal(labels[5:], [[NAN, NAN, 1]] * 3)
    np.testing.assert_array_equal(examples.labels[:6], LABELS)
    assert examples.blocks == (
        Block(POSITIVE, "Lung Lesion", 5),
        Block(POSITIVE, "Fracture", 3),
    )


def test_a_balanced_arm_adds_as_many_negatives_in_blocks():
    examples = arm(BANKS, negatives=Synthetic("negatives.h5", 9))
    places, labels = rows(examples, NEGATIVE)
    assert places == [14, 15, 16, 17, 18, 19, 20, 21]
    np.testing.assert_array_equal(labels[:5], [[NAN, 0, NAN]] * 5)
    np.testing.assert_array_equal(labels[5:], [[NAN, NAN, 0]] * 3)
    assert examples.blocks[-1] == Block(NEGATIVE, None, 8)
    for finding in TARGETS:
        counts = examples.counts(FINDINGS)[finding]
        added = counts["synthetic positive labelled 1"]
        assert added == counts["synthetic negative labelled 0"] == BANKS[finding].count
        assert counts["synthetic positive labelled 0"] == 0
    assert examples.counts(FINDINGS)["Edema"]["synthetic positive labelled 1"] == 0


def test_oversampling_repeats_each_positive_equally_often():
    examples = arm(repeated={"Lung Lesion": 7, "Fracture": 2})
    places, labels = rows(examples, REPEATED)
    lesions, fractures = places[:7], places[7:]
    # Three lesions: twice each, and one of them once more. Two fractures: once each.
    counts = sorted(lesions.count(image) for image in (0, 1, 3))
    assert counts == [2, 2, 3]
    assert sorted(fractures) == [2, 3]
    np.testing.assert_array_equal(labels[:7], [[NAN, 1, NAN]] * 7)
    np.testing.assert_array_equal(labels[7:], [[NAN, NAN, 1]] * 2)


def test_oversampling_adds_what_the_banks_add():
    positives = {"Lung Lesion": 3, "Fracture": 2}

    def added(ratio, number=None):
        return Sizes.of({"ratio": ratio, "number": number}).images_of_all(positives)

    assert added({"default": 1.5, "Fracture": 4}) == {"Lung Lesion": 4, "Fracture": 8}
    assert added(2.0) == {"Lung Lesion": 6, "Fracture": 4}
    number = {"Lung Lesion": 100}
    assert added(2.0, number) == {"Lung Lesion": 100, "Fracture": 4}
    with pytest.raises(ValueError, match="neither ratio nor number is given for Fracture"):
        added(None, number)


def test_the_seed_chooses_who_is_repeated_once_more():
    chosen = {tuple(rows(arm(repeated={"Lung Lesion": 1}, seed=s), REPEATED)[0]) for s in range(20)}
    assert chosen == {(0,), (1,), (3,)}


def test_any_mix_is_the_sum_of_its_parts():
    examples = arm(BANKS, Synthetic("negatives.h5", 8), {"Fracture": 2})
    kinds = [int((examples.kind == kind).sum()) for kind in (REAL, REPEATED, POSITIVE, NEGATIVE)]
    assert kinds == [6, 2, 8, 8]
    assert len(examples) == 24
    assert examples.real().image.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_dose_takes_the_first_images_of_a_bank():
    dose = {"Lung Lesion": 2, "Fracture": 1}
    examples = arm(BANKS, Synthetic("negatives.h5", 3), dose=dose)
    assert rows(examples, POSITIVE)[0] == [6, 7, 8]
    assert rows(examples, NEGATIVE)[0] == [9, 10, 11]
    assert [block.count for block in examples.blocks] == [2, 1, 3]


def test_a_bank_with_labels_of_its_own_supervises_all_of_them():
    own = np.array([[1, 1, NAN], [0, 1, 0]], np.float32)
    banks = {"Lung Lesion": Synthetic("lesion.h5", 2, own), "Fracture": BANKS["Fracture"]}
    labels = rows(arm(banks), POSITIVE)[1]
    np.testing.assert_array_equal(labels[:2], own)
    np.testing.assert_array_equal(labels[2:], [[NAN, NAN, 1]] * 3)


def test_negatives_of_each_finding_are_as_many_as_its_positives():
    paired = {"Lung Lesion": Synthetic("a.h5", 5), "Fracture": Synthetic("b.h5", 3)}
    examples = arm(BANKS, paired, dose={"Lung Lesion": 4, "Fracture": 3})
    places, labels = rows(examples, NEGATIVE)
    assert places == [13, 14, 15, 16, 17, 18, 19]
    np.testing.assert_array_equal(labels[:4], [[NAN, 0, NAN]] * 4)
    np.testing.assert_array_equal(labels[4:], [[NAN, NAN, 0]] * 3)
    assert examples.blocks[2:] == (
        Block(NEGATIVE, "Lung Lesion", 4),
        Block(NEGATIVE, "Fracture", 3),
    )


def test_reserve_positives_supervise_their_own_finding_alone():
    examples = arm(repeated={"Fracture": 1}, reserve={"Lung Lesion": 2, "Fracture": 1})
    places, labels = rows(examples, RESERVE)
    assert places == [6, 7, 8]
    np.testing.assert_array_equal(labels, [[NAN, 1, NAN]] * 2 + [[NAN, NAN, 1]])
    assert examples.blocks == (
        Block(RESERVE, "Lung Lesion", 2),
        Block(RESERVE, "Fracture", 1),
    )
    assert len(examples.real()) == 6


def test_the_largest_arm_is_counted_from_the_positives_of_the_fraction():
    positives = {"Lung Lesion": 10, "Fracture": 3}
    largest = [
        {"times": 2, "ratio": {"default": 1.0, "Fracture": 2.0}, "number": None},
        {"times": 1, "ratio": None, "number": 20},
    ]
    largest = [Addition.of(one) for one in largest]
    # Twice 10 and 6 images, or once 20 and 20.
    assert most_examples(100, positives, largest) == 140
    assert most_examples(100, positives, largest[:1]) == 132
    assert most_examples(100, positives, []) == 100


def test_too_small_a_bank_is_refused():
    with pytest.raises(ValueError, match=r"negatives.h5: holds 7 images, this arm needs 8"):
        arm(BANKS, negatives=Synthetic("negatives.h5", 7))
    with pytest.raises(ValueError, match=r"fracture.h5: holds 3 images, this arm needs 4"):
        arm(BANKS, dose={"Lung Lesion": 2, "Fracture": 4})


def test_a_missing_bank_is_refused():
    with pytest.raises(ValueError, match="there is no bank of Fracture"):
        arm({"Lung Lesion": BANKS["Lung Lesion"]})


def test_nothing_can_be_repeated_where_there_is_no_positive():
    labels = LABELS.copy()
    labels[:, 2] = 0
    with pytest.raises(ValueError, match="Fracture: there is no positive image to repeat"):
        arm(repeated={"Fracture": 3}, labels=labels)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("finding", "Fracture"), ("fraction", 10.0), ("draw", 1), ("study", "other"), ("recipe", "x")],
)
def test_a_bank_of_another_cell_is_refused(tmp_path, attribute, value):
    right = {
        "finding": "Lung Lesion",
        "recipe": "plain",
        "fraction": 100.0,
        "draw": 0,
        "study": "tiny",
    }
    path = make_bank(tmp_path / "bank.h5", "Lung Lesion", 4)
    assert open_bank(path, FINDINGS, right).count == 4
    with pytest.raises(ValueError, match=f"its {attribute} is .* this run needs"):
        open_bank(path, FINDINGS, right | {attribute: value})


def test_labels_inside_a_bank_are_found_by_name(tmp_path):
    path = make_bank(tmp_path / "bank.h5", "Lung Lesion", 2)
    with amended(path) as file:
        file["labels"] = np.array([[0, 1, 1], [NAN, 0, 1]], np.float32)
        file.attrs["findings"] = '["Fracture", "Pneumonia", "Lung Lesion"]'
    found = open_bank(path, FINDINGS, {}).labels
    np.testing.assert_array_equal(found, [[NAN, 1, 0], [NAN, 1, NAN]])
