import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarecxr.classifier.examples import most_examples
from rarecxr.study.arms import at_doses, largest_additions, times
from rarecxr.study.configuration.training import Arm
from rarecxr.study.sizes import Sizes

TARGETS = ["Lung Lesion", "Fracture"]
ARMS = {
    "none": {},
    "standard": {"transforms": "standard"},
    "oversample": {"oversample": True},
    "gan": {"recipe": "plain"},
    "balanced_gan": {"recipe": "plain", "negatives": True},
    "more_real": {"reserve": True},
    "pretrained_unlabelled": {"unlabelled": True},
}


def largest(arms, ratio=2.0, number=None):
    arms = [Arm.of(arm) for arm in arms.values()]
    found = largest_additions(arms, Sizes.of({"ratio": ratio, "number": number}), TARGETS)
    return [addition.plain() for addition in found]


def test_an_arm_adds_a_bank_once_for_each_kind_of_image():
    assert [times(Arm.of(arm)) for arm in ARMS.values()] == [0, 0, 1, 1, 2, 1, 0]
    assert times(Arm(recipe="plain", negatives=True, oversample=True)) == 3


def test_of_arms_with_the_banks_own_size_the_one_with_most_kinds_is_left():
    assert largest(ARMS) == [{"times": 2, "ratio": 2.0, "number": None}]
    assert largest({"none": {}}) == []


def test_an_arm_that_is_not_larger_changes_nothing():
    before = largest(ARMS)
    for smaller in (
        {"recipe": "filtered"},
        {"recipe": "filtered", "negatives": True, "pretrain": True},
        {"recipe": "plain", "ratio": 2.0},
        {"recipe": "plain", "negatives": True, "unlabelled": True},
        {"recipe": "plain", "negatives": True, "ratio": {"default": 1.0, "Fracture": 2.0}},
    ):
        assert largest({**ARMS, "another": smaller}) == before


def test_how_long_others_are_trained_does_not_depend_on_an_arm_without_real_images():
    many = {"real": False, "recipe": "plain", "negatives": True, "ratio": 9.0}
    assert largest({**ARMS, "synthetic": many}) == largest(ARMS)
    assert len(largest({**ARMS, "mixed": {**many, "real": True}})) == 1
    assert largest({**ARMS, "mixed": {**many, "real": True}}) != largest(ARMS)


def test_a_smaller_dose_changes_nothing():
    definitions, doses = at_doses({name: Arm.of(arm) for name, arm in ARMS.items()}, [0.5, 2.0])
    assert set(doses) == {"oversample", "gan", "balanced_gan", "more_real"}
    assert largest({name: arm.plain() for name, arm in definitions.items()}) == largest(ARMS)


def test_an_arm_that_may_be_larger_is_left_too():
    arms = {**ARMS, "many": {"recipe": "plain", "ratio": {"default": 1.0, "Fracture": 5.0}}}
    assert len(largest(arms)) == 2
    # 100 images may be more or less than twice the positives.
    assert len(largest({**ARMS, "many": {"recipe": "plain", "ratio": 9.0}}, 2.0, 100)) == 2


@pytest.mark.parametrize("number", [None, 7, {"Fracture": 7}])
def test_a_number_counts_instead_of_the_ratio(number):
    found = largest(ARMS, number=number)
    assert found == [{"times": 2, "ratio": 2.0, "number": number}]


amounts = st.one_of(
    st.floats(0.1, 5),
    st.fixed_dictionaries({"default": st.floats(0.1, 5), "Fracture": st.floats(0.1, 5)}),
)


@given(
    arms=st.lists(
        st.builds(
            lambda kinds, own: {**kinds, **(own if times(Arm.of(kinds)) else {})},
            st.sampled_from(list(ARMS.values())),
            st.one_of(st.just({}), amounts.map(lambda ratio: {"ratio": ratio})),
        ),
        max_size=6,
    ),
    ratio=amounts,
    number=st.one_of(
        st.none(), st.integers(1, 30), st.integers(1, 30).map(lambda n: {"Fracture": n})
    ),
    lesions=st.integers(0, 40),
    fractures=st.integers(0, 40),
)
def test_what_is_left_out_is_never_the_largest(arms, ratio, number, lesions, fractures):
    positives = {"Lung Lesion": lesions, "Fracture": fractures}
    arms, bank = [Arm.of(arm) for arm in arms], Sizes.of({"ratio": ratio, "number": number})
    kept = largest_additions(arms, bank, TARGETS)
    alone = [most_examples(0, positives, largest_additions([arm], bank, TARGETS)) for arm in arms]
    assert most_examples(0, positives, kept) == max(alone, default=0)
