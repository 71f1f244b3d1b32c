import math

import numpy as np
import pandas as pd
import pytest
from dataset_files import TARGETS, csv_table, index_table, write_csv
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rarecxr.core.files import sha256
from rarecxr.data.image_index import index_images
from rarecxr.data.split import (
    draw_patients,
    fraction_patients,
    positive_patients,
    rank,
    split_at_random,
    split_patients,
)

LABELS = [1.0, 0.0, -1.0, np.nan]
SPLIT_OF_400 = "3bf0a6dd3d75489d926f074101a83d7508ea21a4c184ce31c1a5a3336fefa8da"
any_table = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def tables(draw):
    """The columns patient and three findings of any images, in any order of rows."""
    patients = draw(st.integers(1, 40))
    images = draw(st.lists(st.integers(0, patients - 1), min_size=1, max_size=120))
    label = st.sampled_from(LABELS)
    labels = draw(
        st.lists(st.tuples(label, label, label), min_size=len(images), max_size=len(images))
    )
    table = pd.DataFrame(labels, columns=TARGETS, dtype=np.float32)
    table.insert(0, "patient", [f"patient{image:05d}" for image in images])
    return table


percents = st.floats(0.5, 49)
seeds = st.integers(0, 2**32)


def simulated(count=2000, shares=(0.14, 0.05, 0.11), seed=0):
    """Which of `count` patients are positive for which target finding."""
    random = np.random.default_rng(seed)
    index = [f"patient{number:05d}" for number in range(count)]
    return pd.DataFrame(random.random((count, 3)) < shares, columns=TARGETS, index=index)


@given(tables(), percents, percents, seeds)
@any_table
def test_every_patient_is_in_exactly_one_split(table, test_percent, validation_percent, seed):
    split = split_at_random(
        positive_patients(table, TARGETS), test_percent, validation_percent, seed
    )
    assert sorted(split.index) == sorted(set(table["patient"]))
    count = len(split)
    assert (split == "test").sum() == round(test_percent / 100 * count)
    assert (split == "val").sum() == round(validation_percent / 100 * count)
    assert split.isin(["train", "val", "test"]).all()


@given(tables(), st.floats(1, 30), st.floats(1, 30), st.floats(0, 39), seeds)
@any_table
def test_the_reserve_takes_training_patients_alone(table, test, validation, reserve, seed):
    positives = positive_patients(table, TARGETS)
    plain = split_at_random(positives, test, validation, seed)
    split = split_at_random(positives, test, validation, seed, reserve)
    apart = split == "reserve"
    # Of a handful of patients testing and validation can leave fewer.
    left = (plain == "train").sum()
    assert apart.sum() == min(round(reserve / 100 * len(split)), left)
    assert (plain[apart] == "train").all()
    # Nobody else moves, so that validation and testing are what they were.
    pd.testing.assert_series_equal(split[~apart], plain[~apart])
    rarest = positives.columns[0]
    expected = positives[rarest].sum() * apart.sum() / len(split)
    assert abs(positives.loc[apart, rarest].sum() - expected) <= 3


@given(
    count=st.integers(100, 250),
    shares=st.tuples(*[st.floats(0.3, 0.7)] * 3),
    test=st.floats(15, 25),
    validation=st.floats(15, 25),
    reserve=st.floats(1, 40),
    seed=st.integers(0, 99),
)
@any_table
def test_reserve_patients_are_in_nothing_else(
    tmp_path, count, shares, test, validation, reserve, seed
):
    """Through the files: the split, a draw, and every fraction of it."""
    table = simulated(count, shares, seed).astype(float).reset_index(names="patient")
    table["csv"] = np.where(np.arange(count) < 5, "valid", "train")
    path = tmp_path / "images.parquet"
    table.to_parquet(path)
    split_patients(path, test, validation, TARGETS, seed, tmp_path / "split.csv", None, reserve)
    split = pd.read_csv(tmp_path / "split.csv").set_index("patient")["split"]
    assert split.index.is_unique
    apart = set(split.index[split == "reserve"])
    draw_patients(path, tmp_path / "split.csv", TARGETS, 1, seed, 0, tmp_path / "draw0.csv")
    assert not apart & set(pd.read_csv(tmp_path / "draw0.csv")["patient"])
    assert not apart & set(fraction_patients(tmp_path / "draw0.csv", 100))
    assert apart == set(split.index) - set().union(
        *(split.index[split == name] for name in ("train", "val", "test", "expert"))
    )


@given(tables(), st.floats(5, 49), percents, seeds)
@any_table
def test_no_patient_is_tested_on_in_two_folds(table, test, validation, seed):
    positives = positive_patients(table, TARGETS)
    count = round(test / 100 * len(positives))
    assume(count)
    folds = len(positives) // count
    splits = [
        split_at_random(positives, test, validation, seed, 10, fold=fold) for fold in range(folds)
    ]
    assert splits[0].equals(split_at_random(positives, test, validation, seed, 10))
    times = sum((split == "test").astype(int) for split in splits)
    assert times.max() == 1
    assert times.sum() == folds * count
    for split in splits:
        for finding in TARGETS:
            expected = positives[finding].sum() * count / len(positives)
            tested = positives.loc[split == "test", finding].sum()
            assert abs(tested - expected) <= 1 + len(TARGETS)
    if folds:
        with pytest.raises(ValueError, match=f"dataset.fold: got {folds}, and {folds + 1} test"):
            split_at_random(positives, test, validation, seed, 10, fold=folds)


def test_folds_of_a_quarter_test_every_patient_once(tmp_path):
    table = simulated(400).astype(float).reset_index(names="patient").assign(csv="train")
    table.to_parquet(tmp_path / "images.parquet")
    tested = []
    for fold in range(4):
        path = tmp_path / f"{fold}.csv"
        split_patients(tmp_path / "images.parquet", 25, 15, TARGETS, 1, path, fold=fold)
        split = pd.read_csv(path).set_index("patient")["split"]
        assert (split == "val").sum() == 60
        tested += split.index[split == "test"].tolist()
    assert sorted(tested) == sorted(table["patient"])


def test_a_split_without_reserve_has_the_bytes_that_it_always_had(tmp_path):
    table = simulated(400).astype(float).reset_index(names="patient").assign(csv="train")
    table.to_parquet(tmp_path / "images.parquet")
    split_patients(tmp_path / "images.parquet", 20, 15, TARGETS, 1, tmp_path / "split.csv")
    # Of the split before there was a reserve.
    assert sha256(tmp_path / "split.csv") == SPLIT_OF_400


def test_thinning_leaves_the_reserve_as_it_is(tmp_path):
    table = simulated(2000).astype(float).reset_index(names="patient").assign(csv="train")
    table.to_parquet(tmp_path / "images.parquet")
    splits = {}
    for name, thin in (("whole", None), ("thin", {"Fracture": 0.1})):
        path = tmp_path / f"{name}.csv"
        split_patients(tmp_path / "images.parquet", 20, 15, TARGETS, 1, path, thin, 30)
        splits[name] = pd.read_csv(path).set_index("patient")["split"]
    apart = {name: set(split.index[split == "reserve"]) for name, split in splits.items()}
    assert len(apart["whole"]) == 600
    assert apart["thin"] == apart["whole"]


@given(tables(), percents, percents, seeds, st.randoms(use_true_random=False))
@any_table
def test_order_of_rows_and_findings_does_not_count(table, test, validation, seed, random):
    rows = random.sample(range(len(table)), len(table))
    mixed = table.iloc[rows].reset_index(drop=True)[["Fracture", "patient", *TARGETS[:2]]]
    one, other = positive_patients(table, TARGETS), positive_patients(mixed, TARGETS[::-1])
    pd.testing.assert_series_equal(
        split_at_random(one, test, validation, seed),
        split_at_random(other, test, validation, seed),
    )
    pd.testing.assert_frame_equal(rank(one, 3, seed, 0), rank(other, 3, seed, 0))


@given(tables(), percents, percents, seeds)
@any_table
def test_the_rarest_finding_is_shared_out_in_proportion(table, test, validation, seed):
    positives = positive_patients(table, TARGETS)
    rarest = positives.columns[0]
    assert positives[rarest].sum() == positives.sum().min()
    split = split_at_random(positives, test, validation, seed)
    for name, most in (("test", 1), ("val", 2)):
        inside = split == name
        expected = positives[rarest].sum() * inside.sum() / len(split)
        assert abs(positives.loc[inside, rarest].sum() - expected) <= most


@given(tables(), st.integers(1, 12), seeds, st.integers(0, 5))
@any_table
def test_a_draw_ranks_each_patient_once(table, minimum, seed, draw):
    ranks = rank(positive_patients(table, TARGETS), minimum, seed, draw)
    assert ranks["rank"].tolist() == list(range(len(ranks)))
    assert sorted(ranks["patient"]) == sorted(set(table["patient"]))


@given(tables(), st.integers(1, 12), seeds, percents, percents)
@any_table
def test_fractions_are_nested_and_hold_the_minimum(
    tmp_path, table, minimum, seed, one_percent, other_percent
):
    positives = positive_patients(table, TARGETS)
    path = tmp_path / "draw0.csv"
    rank(positives, minimum, seed, 0).to_csv(path, index=False)
    held = []
    for percent in sorted([one_percent, other_percent, 100]):
        try:
            patients = fraction_patients(path, percent)
        except ValueError:
            continue
        assert len(patients) == round(percent / 100 * len(positives))
        held.append(set(patients))
        for finding in TARGETS:
            there = positives[finding].sum()
            assert positives.loc[patients, finding].sum() >= min(minimum, there)
    assert held[-1] == set(positives.index)
    assert all(smaller <= larger for smaller, larger in zip(held, held[1:], strict=False))


def test_no_more_are_moved_to_the_front_than_the_minimum_needs():
    positives = simulated()
    ranks = rank(positives, 10, seed=3, draw=0)
    front = ranks.loc[ranks["minimum"] == 1]
    assert front["rank"].tolist() == list(range(len(front)))
    held = positives.loc[front["patient"]]
    # Each of them is needed: it is one of the first ten positives of some finding.
    assert all((held.cumsum()[held] <= 10).any(axis=1))
    assert held.sum().min() == 10


def test_every_fraction_has_its_part_of_all_findings():
    positives = simulated()
    ranks = rank(positives, 10, seed=3, draw=0)
    for percent in (20, 35, 50, 77):
        count = round(percent / 100 * len(positives))
        held = positives.loc[ranks["patient"][:count]].sum()
        # One more or less for each of the combinations that a finding is part of.
        assert ((held - positives.sum() * percent / 100).abs() <= 4).all()


def test_every_patient_has_the_same_chance_to_be_in_a_fraction():
    positives = simulated(count=120)
    draws, percent = 250, 30
    times = pd.Series(0, index=positives.index)
    for draw in range(draws):
        times[rank(positives, 0, seed=5, draw=draw)["patient"][: round(1.2 * percent)]] += 1
    expected = draws * percent / 100
    spread = math.sqrt(draws * percent / 100 * (1 - percent / 100))
    assert times.sum() == draws * 36
    assert (times - expected).abs().max() < 4.5 * spread
    # By kind of patient the chance is held much closer.
    assert abs(times[positives["Pleural Other"]].mean() - expected) < spread


def test_every_patient_has_the_same_chance_to_be_tested_on():
    positives = simulated(count=100)
    times = sum(
        (split_at_random(positives, 20, 10, seed) == "test").astype(int) for seed in range(600)
    )
    assert (times - 120).abs().max() < 4.5 * math.sqrt(600 * 0.2 * 0.8)


def test_seeds_and_draws_make_other_choices_and_repeat_them():
    positives = simulated(count=200)
    assert split_at_random(positives, 20, 10, 1).equals(split_at_random(positives, 20, 10, 1))
    assert not split_at_random(positives, 20, 10, 1).equals(split_at_random(positives, 20, 10, 2))
    orders = {
        tuple(rank(positives, 5, seed, draw)["patient"]) for seed in (1, 2) for draw in (0, 1)
    }
    assert len(orders) == 4
    assert tuple(rank(positives, 5, 1, 0)["patient"]) in orders


def test_uncertain_labels_decide_nothing():
    table = index_table(simulated(count=100))
    settled = table.replace({-1.0: 0.0})
    pd.testing.assert_frame_equal(
        positive_patients(table, TARGETS), positive_patients(settled, TARGETS)
    )
    assert positive_patients(table, TARGETS)[TARGETS].equals(
        simulated(count=100).rename_axis("patient")
    )


def written(folder, table, expert=None, targets=TARGETS):
    index = folder / "images.parquet"
    expert_csv = None if expert is None else write_csv(folder / "valid.csv", expert)
    files = {"train_csv": write_csv(folder / "train.csv", table), "expert_csv": expert_csv}
    index_images(files, ["AP", "PA"], index)
    split_patients(index, 20, 15, targets, 1, folder / "split.csv")
    draw_patients(index, folder / "split.csv", targets, 5, 1, 0, folder / "draw0.csv")
    return folder / "split.csv", folder / "draw0.csv"


def test_order_of_the_csvs_rows_and_columns_does_not_change_a_byte(tmp_path):
    table = csv_table(range(80))
    expected = [path.read_bytes() for path in written(tmp_path, table)]
    mixed = table.sample(frac=1, random_state=0).sample(frac=1, axis="columns", random_state=0)
    changed = written(tmp_path, mixed, targets=TARGETS[::-1])
    assert [path.read_bytes() for path in changed] == expected


def test_fractions_hold_the_promised_positives_among_images_that_could_be_read(tmp_path):
    table = csv_table(range(120))
    split, _ = written(tmp_path, table)
    whole = pd.read_parquet(tmp_path / "images.parquet")
    # Every other patient has lost all images.
    lost = sorted(set(whole["patient"]))[::2]
    readable = whole[~whole["patient"].isin(lost)]
    readable.to_parquet(tmp_path / "readable.parquet")
    draw_patients(tmp_path / "readable.parquet", split, TARGETS, 5, 1, 0, tmp_path / "draw0.csv")
    draw = pd.read_csv(tmp_path / "draw0.csv")
    assert not set(draw["patient"]) & set(lost)
    splits = pd.read_csv(split).set_index("patient")["split"]
    training = {patient for patient in readable["patient"] if splits[patient] == "train"}
    assert sorted(draw["patient"]) == sorted(training)
    smallest = set(draw.loc[draw["minimum"] == 1, "patient"])
    inside = readable[readable["patient"].isin(smallest)]
    for finding in TARGETS:
        assert inside.loc[inside[finding] == 1, "patient"].nunique() >= 5


def test_a_promise_that_unreadable_images_break_is_said(tmp_path, caplog):
    split, draw = written(tmp_path, csv_table(range(120)))
    readable = pd.read_parquet(tmp_path / "images.parquet")
    splits = readable["patient"].map(pd.read_csv(split).set_index("patient")["split"])
    positive = readable.loc[(readable["Fracture"] == 1) & (splits == "train"), "patient"].unique()
    readable = readable[~readable["patient"].isin(positive[2:])]
    readable.to_parquet(tmp_path / "readable.parquet")
    draw_patients(tmp_path / "readable.parquet", split, TARGETS, 5, 1, 0, draw)
    assert "min_positive_patients is 5, but 2 training patients have an image with Fracture" in (
        caplog.text
    )


def test_a_split_whose_positives_could_not_be_read_is_refused(tmp_path):
    split, draw = written(tmp_path, csv_table(range(120)))
    readable = pd.read_parquet(tmp_path / "images.parquet")
    splits = readable["patient"].map(pd.read_csv(split).set_index("patient")["split"])
    readable = readable[(splits != "test") | (readable["Fracture"] != 1)]
    readable.to_parquet(tmp_path / "readable.parquet")
    with pytest.raises(ValueError, match=r"split test has \d+ patients and none of them with Frac"):
        draw_patients(tmp_path / "readable.parquet", split, TARGETS, 5, 1, 0, draw)


def test_expert_patients_are_a_split_of_their_own(tmp_path):
    table = csv_table(range(80))
    alone = pd.read_csv(written(tmp_path, table)[0])
    split, draw = written(tmp_path, table, csv_table([90, 91], folder="valid"))
    both = pd.read_csv(split)
    assert both.loc[both["split"] == "expert", "patient"].tolist() == [
        "patient00090",
        "patient00091",
    ]
    pd.testing.assert_frame_equal(both[both["split"] != "expert"].reset_index(drop=True), alone)
    drawn = pd.read_csv(draw)["patient"]
    assert sorted(drawn) == alone.loc[alone["split"] == "train", "patient"].tolist()


def test_a_finding_that_a_split_lacks_is_refused(tmp_path):
    positives = simulated(count=300)
    positives["Fracture"] = False
    positives.loc["patient00003", "Fracture"] = True
    index_table(positives).to_parquet(tmp_path / "images.parquet")
    with pytest.raises(ValueError, match="none of them with Fracture, which 1 of all 300 patients"):
        split_patients(tmp_path / "images.parquet", 20, 15, TARGETS, 1, tmp_path / "split.csv")
    assert not (tmp_path / "split.csv").exists()
    positives["Fracture"] = True
    index_table(positives).to_parquet(tmp_path / "images.parquet")
    with pytest.raises(ValueError, match="none of them without Fracture"):
        split_patients(tmp_path / "images.parquet", 20, 15, TARGETS, 1, tmp_path / "split.csv")


def test_a_fraction_that_is_too_small_is_refused_with_one_that_does(tmp_path):
    path = tmp_path / "draw0.csv"
    ranks = rank(simulated(count=317), 10, 1, 0)
    ranks.to_csv(path, index=False)
    needed = ranks["minimum"].sum()
    with pytest.raises(ValueError, match=f"1 % of the 317 .* are 3, but {needed} are") as error:
        fraction_patients(path, 1)
    enough = float(str(error.value).split("use at least ")[1].split(" %")[0])
    assert len(fraction_patients(path, enough)) == needed
    with pytest.raises(ValueError, match="use at least"):
        fraction_patients(path, enough - 0.4)
    for wrong in (0, 100.1, -5):
        with pytest.raises(ValueError, match="takes percents above 0, up to 100"):
            fraction_patients(path, wrong)


def test_a_fraction_is_the_same_written_as_text_or_number(tmp_path):
    path = tmp_path / "draw0.csv"
    rank(simulated(count=300), 3, 1, 0).to_csv(path, index=False)
    assert fraction_patients(path, "50") == fraction_patients(path, 50.0)
    assert len(fraction_patients(path, 50)) == 150


def thinned(folder, share, finding="Fracture", seed=1):
    split_patients(
        folder / "images.parquet", 20, 15, TARGETS, seed, folder / "thin.csv", {finding: share}
    )
    return pd.read_csv(folder / "thin.csv").set_index("patient")["split"]


@pytest.fixture
def indexed(tmp_path):
    """A folder with an index of 600 patients, and who has a fracture: 1 certainly, -1 perhaps."""
    table = csv_table(range(600))
    files = {"train_csv": write_csv(tmp_path / "train.csv", table)}
    index_images(files, ["AP", "PA"], tmp_path / "i")
    (tmp_path / "i").rename(tmp_path / "images.parquet")
    split_patients(tmp_path / "images.parquet", 20, 15, TARGETS, 1, tmp_path / "split.csv")
    images = pd.read_parquet(tmp_path / "images.parquet")
    labels = images.groupby("patient")["Fracture"].agg(set)
    has = labels.map(lambda found: 1 if 1 in found else -1 if -1 in found else 0)
    return tmp_path, has, pd.read_csv(tmp_path / "split.csv").set_index("patient")["split"]


def test_thinning_keeps_the_share_of_a_findings_training_patients_and_moves_nobody_else(indexed):
    folder, has, before = indexed
    after = thinned(folder, 0.1)
    gone = after[after == "unused"].index
    assert (before[gone] == "train").all()
    assert (has[gone] != 0).all()
    pd.testing.assert_series_equal(after.drop(gone), before.drop(gone))
    for kind in (1, -1):
        there = before[(before == "train") & (has == kind)].index
        assert (after[there] == "train").sum() == round(0.1 * len(there)) > 0


def test_thinning_is_the_same_again_and_stronger_thinning_drops_more_of_the_same(indexed):
    folder, _, _ = indexed
    kept = [set(thinned(folder, share).loc[lambda s: s == "train"].index) for share in (0.1, 0.5)]
    assert kept[0] < kept[1]
    assert set(thinned(folder, 0.1).loc[lambda s: s == "train"].index) == kept[0]
    index = pd.read_parquet(folder / "images.parquet").sample(frac=1, random_state=0)
    index.to_parquet(folder / "images.parquet")
    assert set(thinned(folder, 0.1).loc[lambda s: s == "train"].index) == kept[0]


def test_who_was_left_out_by_thinning_is_in_no_fraction(indexed):
    folder, _, _ = indexed
    after = thinned(folder, 0.1)
    draw_patients(
        folder / "images.parquet", folder / "thin.csv", TARGETS, 2, 1, 0, folder / "draw0.csv"
    )
    inside = fraction_patients(folder / "draw0.csv", 100)
    assert sorted(inside) == sorted(after[after == "train"].index)


def test_thinning_that_leaves_nobody_is_refused(indexed):
    with pytest.raises(ValueError, match=r"dataset\.thin\.Fracture: 0\.0001 of the \d+ training"):
        thinned(indexed[0], 0.0001)
