import shutil

import numpy as np
import pandas as pd
import pytest
from simulated_study import TABLES, TARGETS, SimulatedStudy
from sklearn.metrics import roc_auc_score

from rarecxr.core.files import written_whole
from rarecxr.report.page import make_report
from rarecxr.statistics.evaluation import evaluate

ARMS = ("none", "oversample", "balanced_gan")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = SimulatedStudy(
        tmp_path_factory.mktemp("study"), patients=1200, expert_patients=40, arms=ARMS, seeds=3
    )
    evaluate(**made.evaluate())
    return made


@pytest.fixture
def copy(study, tmp_path):
    """A private copy of the study's files, to be spoilt."""
    # Whoever spoils a file on purpose forges its digest.
    unsealed = shutil.ignore_patterns(".*.sha256")
    shutil.copytree(study.root, tmp_path / "copy", ignore=unsealed)
    moved = SimulatedStudy.__new__(SimulatedStudy)
    moved.__dict__.update(study.__dict__)
    moved.root = tmp_path / "copy"
    moved.dataset = moved.root / "dataset"
    moved.rejected = moved.dataset / study.rejected.name
    moved.draws = [moved.dataset / path.name for path in study.draws]
    moved.predictions = [moved.root / path.relative_to(study.root) for path in study.predictions]
    return moved


def read(study, name):
    return pd.read_csv(study.root / "report" / f"{name}.csv")


def change_file(path, change):
    table = pd.read_parquet(path)
    change(table).to_parquet(path, index=False)


def test_every_auroc_is_that_of_its_file(study):
    auc = read(study, "auc")
    images = study.images.merge(study.split, on="patient").set_index("image")
    for run, path in list(zip(study.runs, study.predictions, strict=True))[::5]:
        table = pd.read_parquet(path).set_index("image")
        for split in ("test", "expert"):
            chosen = table[table["split"] == split]
            finding = "Pleural Effusion"
            expected = roc_auc_score(images.loc[chosen.index, finding], chosen[finding])
            row = auc[(auc["finding"] == finding) & (auc["split"] == split)]
            for name, value in run.items():
                row = row[row[name] == value]
            assert row["auc"].tolist() == [pytest.approx(expected, abs=1e-5)]
            positives = images.loc[chosen.index, finding].sum()
            assert row["n_positive"].tolist() == [positives]


def test_summary_has_a_row_a_cell_and_arm_with_the_mean_over_the_runs(study):
    summary, auc = read(study, "summary"), read(study, "auc")
    assert len(summary) == len(TARGETS) * len(study.fractions) * len(ARMS)
    auc = auc[auc["split"] == "test"]
    for row in summary.itertuples():
        runs = auc[
            (auc["finding"] == row.finding)
            & (auc["fraction"] == row.fraction)
            & (auc["arm"] == row.arm)
        ]
        assert len(runs) == 3
        assert row.auc == pytest.approx(runs["auc"].mean(), abs=1e-5)
        assert row.auprc == pytest.approx(runs["auprc"].mean(), abs=1e-5)
        assert row.brier == pytest.approx(runs["brier"].mean(), abs=1e-5)
        assert row.auc_low < row.auc < row.auc_high
        assert row.interval_over == "patients and seeds"


def test_changes_are_differences_of_means_and_find_what_was_put_in(study):
    summary = read(study, "summary").set_index(["finding", "fraction", "arm"])
    for finding, fraction, arm in summary.index:
        row = summary.loc[finding, fraction, arm]
        for reference, role in (("none", "baseline"), ("oversample", "control")):
            name = f"change_vs_{role}"
            if arm in ("none", reference):
                assert np.isnan(row[name])
                continue
            expected = row["auc"] - summary.at[(finding, fraction, reference), "auc"]
            assert row[name] == pytest.approx(expected, abs=2e-6)
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
            assert row[f"{name}_p_holm"] >= row[f"{name}_p"]
    gained = summary.xs("balanced_gan", level="arm")
    # 0.03 was put in; the mean of six cells is known to about 0.008.
    assert gained["change_vs_baseline"].mean() == pytest.approx(0.03, abs=0.02)


def test_the_mean_over_all_cells_is_more_precise_than_a_cell(study):
    overall, summary = read(study, "overall"), read(study, "summary")
    assert len(overall) == 3
    for row in overall.itertuples():
        assert row.reference == {"baseline": "none", "control": "oversample"}[row.role]
        name = f"change_vs_{row.role}"
        cells = summary[summary["arm"] == row.arm]
        assert row.cells == len(cells) == 6
        assert row.change == pytest.approx(cells[name].mean(), abs=2e-6)
        assert row.low < row.change < row.high
        assert row.detectable < 0.75 * cells[f"{name}_detectable"].median()
    gained = overall[(overall["arm"] == "balanced_gan") & (overall["role"] == "baseline")]
    assert gained["low"].item() < 0.03 < gained["high"].item()


def test_a_pair_is_compared_over_all_cells_like_baseline_and_control(study, tmp_path):
    """With the control's arm as its partner it has the control's values; with none, none more."""
    design = {"control": None, "pairs": {"balanced_gan": ["oversample", "none", "absent"]}}
    outputs = {name: tmp_path / f"{name}.csv" for name in TABLES}
    evaluate(**study.evaluate(**design, outputs=outputs))
    paired = pd.read_csv(tmp_path / "overall.csv").set_index("arm")
    assert list(paired.loc[["balanced_gan"], "role"]) == ["baseline", "pair"]
    assert list(paired.loc[["oversample"], "role"]) == ["baseline"]
    found = paired[paired["role"] == "pair"].loc["balanced_gan"]
    assert found["reference"] == "oversample"
    own = read(study, "overall").set_index(["arm", "role"]).loc[("balanced_gan", "control")]
    for name in ("cells", "change", "low", "high", "p", "detectable"):
        assert found[name] == own[name], name


def test_intervals_agree_with_the_verdict(study):
    summary = read(study, "summary")
    for row in summary[summary["arm"] != "none"].itertuples():
        beyond_zero = row.change_vs_baseline_low > 0 or row.change_vs_baseline_high < 0
        if row.verdict_vs_baseline in ("better", "worse"):
            assert beyond_zero
        # A single interval that leaves out zero has an uncorrected p below 0.05.
        assert beyond_zero == (row.change_vs_baseline_p < 0.05)


def test_the_bootstrap_of_patients_agrees_with_delong(study):
    summary, auc = read(study, "summary"), read(study, "auc")
    auc = auc[(auc["split"] == "test") & auc["finding"].isin(TARGETS)]
    delong = auc.groupby("finding")["auc_se_delong"].mean()
    bootstrap = summary.groupby("finding")["auc_se_patients"].mean()
    np.testing.assert_allclose(bootstrap, delong, rtol=0.15)


def test_a_finding_with_few_positive_patients_is_reported_and_gets_no_interval(study):
    expert = read(study, "expert")
    assert len(expert) == len(TARGETS) * len(study.fractions) * len(ARMS)
    few = expert[expert["n_positive_patients"] < 10]
    assert len(few) > 0
    assert few["auc"].notna().all()
    change = few.filter(regex="^change_vs_baseline_(low|p)$")
    assert change.shape[1] == 2
    assert change.isna().all(axis=None)
    assert few[["auc_low", "auprc_low", "auc_se"]].isna().all(axis=None)
    others = few[few["arm"] != "none"]
    assert (others["verdict_vs_baseline"] == "too few positives").all()
    assert (
        few.loc[few["arm"] == "balanced_gan", "verdict_vs_control"] == "too few positives"
    ).all()


def test_with_one_seed_intervals_are_over_patients_and_say_so_and_delong_checks_them(tmp_path):
    study = SimulatedStudy(tmp_path, patients=800, arms=("none", "gan"), seeds=1, fractions=(100,))
    evaluate(**study.evaluate(resamples=1000))
    summary = read(study, "summary")
    assert (summary["interval_over"] == "patients").all()
    changes = summary[summary["arm"] == "gan"]
    np.testing.assert_allclose(
        changes["change_vs_baseline_p"], changes["change_vs_baseline_p_delong"], atol=0.08
    )


def test_with_several_draws_a_draw_is_the_unit(tmp_path):
    study = SimulatedStudy(
        tmp_path, patients=800, arms=("none", "gan"), seeds=2, draws=3, fractions=(100,), run_sd=0
    )
    # One draw of training patients is far better than the others, for both arms alike.
    for run, path in zip(study.runs, study.predictions, strict=True):
        if run["draw"] == 1:
            other = study.predictions[study.runs.index({**run, "draw": 0})]
            table = pd.read_parquet(other)
            truth = study.images.set_index("image").loc[table["image"], list(TARGETS)].to_numpy()
            table[list(TARGETS)] += (0.8 * truth).astype(np.float32)
            with written_whole(path) as temporary:
                table.to_parquet(temporary, index=False)
    evaluate(**study.evaluate())
    summary = read(study, "summary")
    assert (summary["interval_over"] == "patients and draws").all()
    # The draw is paired: it makes each arm uncertain, not their difference.
    gan = summary[summary["arm"] == "gan"]
    reach = (gan["auc_high"] - gan["auc_low"]) / 2
    assert (
        (gan["change_vs_baseline_high"] - gan["change_vs_baseline_low"]) / 2 < 0.5 * reach
    ).all()
    overall = read(study, "overall")
    assert overall["change"].item() == pytest.approx(gan["change_vs_baseline"].mean(), abs=2e-6)
    assert overall["high"].item() - overall["low"].item() < 0.5 * 2 * reach.min()


def test_the_same_scores_do_not_differ_in_a_way_that_matters(copy):
    for run, path in zip(copy.runs, copy.predictions, strict=True):
        if run["arm"] == "balanced_gan":
            shutil.copy(copy.predictions[copy.runs.index({**run, "arm": "none"})], path)
    evaluate(**copy.evaluate())
    summary = read(copy, "summary")
    same = summary[summary["arm"] == "balanced_gan"]
    assert (same["change_vs_baseline"] == 0).all()
    assert (same["change_vs_baseline_p_holm"] > 0.9).all()
    assert "better" not in set(same["verdict_vs_baseline"]) | set(same["verdict_vs_control"])


def test_tables_are_the_same_to_the_byte_whatever_the_threads_and_order_of_columns(study, copy):
    def permuted(table):
        return table[["patient", *reversed(TARGETS), "image", "split"]].sample(
            frac=1, random_state=0
        )

    def shuffled(table):
        return table.iloc[::-1, ::-1]

    evaluate(**study.evaluate(outputs=copy.evaluate()["outputs"]))
    before = {name: (copy.root / "report" / f"{name}.csv").read_bytes() for name in TABLES}
    for path in copy.predictions:
        change_file(path, permuted)
    change_file(copy.dataset / "labels.parquet", shuffled)
    evaluate(**copy.evaluate(threads=2))
    for name in ("summary", "expert", "curves", "subgroups", "calibration"):
        assert (copy.root / "report" / f"{name}.csv").read_bytes() == before[name], name
    # In the order of the labels, and of what is predicted alone: here the targets.
    counted = read(copy, "counts")
    assert set(counted["finding"]) == set(TARGETS)
    lines = (copy.root / "report/counts.csv").read_bytes().splitlines()
    assert set(lines) <= set(before["counts"].splitlines())


def test_masked_labels_are_left_out(copy):
    path = copy.dataset / "labels.parquet"
    table = pd.read_parquet(path)
    table.loc[::3, "Fracture"] = np.nan
    table.to_parquet(path, index=False)
    evaluate(**copy.evaluate())
    summary = read(copy, "summary").set_index("finding")
    test = table[table["patient"].isin(copy.split.query("split == 'test'")["patient"])]
    assert summary.loc["Fracture", "n_positive"].iloc[0] == (test["Fracture"] == 1).sum()
    assert summary.loc["Fracture", "n_negative"].iloc[0] == (test["Fracture"] == 0).sum()
    counts = read(copy, "counts").set_index(["split", "finding"]).sort_index()
    assert counts.loc[("test", "Fracture"), "n_masked"].item() == test["Fracture"].isna().sum()


def test_a_finding_without_any_positive_is_reported_with_its_counts(copy):
    path = copy.dataset / "labels.parquet"
    table = pd.read_parquet(path)
    table["Fracture"] = np.where(np.arange(len(table)) % 2, 0, np.nan).astype(np.float32)
    table["Pleural Other"] = np.float32(np.nan)
    table.to_parquet(path, index=False)
    evaluate(**copy.evaluate())
    summary = read(copy, "summary").set_index(["finding", "arm"]).sort_index()
    for finding in ("Fracture", "Pleural Other"):
        rows = summary.loc[finding]
        assert rows["auc"].isna().all()
        assert (rows["n_positive"] == 0).all()
        assert set(rows.loc["balanced_gan", "verdict_vs_baseline"]) == {"too few positives"}
    assert (summary.loc["Fracture", "brier"] > 0).all()
    make_report(**copy.make_report())
    page = (copy.root / "report/index.html").read_text(encoding="utf-8")
    assert "not tested in 4 with too few test patients of a class" in page


def test_subgroups_share_out_the_test_images(study):
    table = read(study, "subgroups")
    summary = read(study, "summary")
    cell = table[(table["finding"] == TARGETS[0]) & (table["fraction"] == 100)]
    whole = summary[(summary["finding"] == TARGETS[0]) & (summary["fraction"] == 100)].iloc[0]
    for kind, rows in cell[cell["arm"] == "none"].groupby("kind"):
        assert rows["n_positive"].sum() == whole["n_positive"], kind
        assert rows["n_negative"].sum() == whole["n_negative"], kind
    assert set(table["kind"]) == {"sex", "age", "view"}
    assert set(table.loc[table["kind"] == "age", "subgroup"]) == {
        "below 40",
        "40 to 59",
        "60 to 79",
        "80 and above",
        "unknown",
    }


def test_curves_rise_within_their_bands(study):
    curves = read(study, "curves")
    for _, curve in curves.groupby(["finding", "fraction", "arm"]):
        assert (np.diff(curve["tpr"]) >= -1e-9).all()
        assert ((curve["low"] <= curve["tpr"]) & (curve["tpr"] <= curve["high"])).all()
        assert curve["tpr"].iloc[-1] == 1


def test_counts_are_those_of_the_split_and_the_fractions(study):
    counts = read(study, "counts")
    sizes = study.split["split"].value_counts()
    for split in ("val", "test", "expert"):
        assert set(counts.loc[counts["split"] == split, "patients"]) == {sizes[split]}
    tenth = counts[(counts["split"] == "train") & (counts["fraction"] == 10)]
    assert set(tenth["patients"]) == {round(0.1 * sizes["train"])}


def test_patients_are_counted_once_with_the_sex_and_age_of_their_first_image(study):
    table = read(study, "patients").set_index(["split", "fraction"])
    images = study.images.merge(study.split, on="patient")
    for split in ("test", "expert"):
        row = table.loc[split].iloc[0]
        part = images[images["split"] == split]
        people = part.drop_duplicates("patient").set_index("patient")
        assert row["patients"] == len(people) == row["n_female"] + row["n_male"]
        assert row["n_female"] == (people["sex"] == "Female").sum()
        assert row["age_median"] == np.median(people["age"].dropna())
        assert row["n_unknown_age"] == people["age"].isna().sum() > 0
        assert row["images"] == len(part) == row["n_AP"] + row["n_PA"]
        assert row["n_unreadable"] == 0
    assert table.loc[("train", 10), "patients"] < table.loc[("train", 100), "patients"]


def test_images_that_could_not_be_read_count_nowhere_but_among_the_unreadable(copy):
    labels = copy.dataset / "labels.parquet"
    images = pd.read_parquet(labels).merge(copy.split, on="patient")
    test = images[images["split"] == "test"]
    # One image of a patient who has others, and all images of another one.
    several = test[test["patient"].duplicated(keep=False)]["patient"]
    whole = test["patient"].iloc[-1]
    assert whole != several.iloc[0]
    lost = test[(test["image"] == test.loc[several.index[0], "image"]) | (test["patient"] == whole)]
    for path in copy.predictions:
        change_file(path, lambda table: table[~table["image"].isin(lost["image"])])
    with pytest.raises(ValueError, match=f"{len(lost)} images without a prediction, the first is"):
        evaluate(**copy.evaluate())
    images = pd.read_parquet(labels)
    images[~images["image"].isin(lost["image"])].to_parquet(labels, index=False)
    lost[["image", "patient"]].assign(row=0, reason="broken").to_csv(copy.rejected, index=False)
    evaluate(**copy.evaluate())
    row = read(copy, "patients").set_index("split").loc["test"]
    assert row["n_unreadable"] == len(lost)
    assert row["images"] == len(test) - len(lost)
    assert row["patients"] == test["patient"].nunique() - 1
    counts = read(copy, "counts").set_index("split").loc["test"]
    assert (counts["images"] == len(test) - len(lost)).all()


def put(name, value):
    def change(table):
        table.loc[3, name] = value
        return table

    return change


def without_scale(table):
    """As a file of probabilities that an earlier version wrote."""
    table.attrs = {}
    return table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("Fracture", np.nan), "1 logits of Fracture are not finite, the first is nan"),
        (put("Fracture", np.inf), "1 logits of Fracture are not finite, the first is inf"),
        (without_scale, "another version of rarecxr wrote it"),
        (lambda table: table.drop(columns="Fracture"), r"columns missing: \['Fracture'\]"),
        (lambda table: table.assign(Fraktur=0.5), r"unknown: \['Fraktur'\]"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "has more than one row"),
        (put("image", "train/other.jpg"), "1 images not among the study's validation and test"),
        (put("patient", "patient99999"), "has patient patient99999, the study says"),
        (put("split", "train"), "has split train, the study says"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_with_their_file(copy, change, message):
    change_file(copy.predictions[4], change)
    with pytest.raises(ValueError, match=message) as error:
        evaluate(**copy.evaluate())
    assert str(copy.predictions[4]) in str(error.value)


def test_runs_say_on_how_many_images_without_labels_they_were_pretrained(copy):
    def pretrained(table):
        table.attrs["unlabelled"] = 1200
        return table

    change_file(copy.predictions[4], pretrained)
    evaluate(**copy.evaluate())
    runs = read(copy, "runs")
    own = (runs[list(copy.runs[4])] == pd.Series(copy.runs[4])).all(axis=1)
    assert own.sum() == len(TARGETS)
    assert runs["unlabelled_images"].tolist() == (1200 * own).tolist()


def test_runs_that_cannot_be_compared_are_refused(study):
    fewer = study.evaluate(predictions=study.predictions[:-1], runs=study.runs[:-1])
    with pytest.raises(ValueError, match="all arms and fractions need the same"):
        evaluate(**fewer)
    twice = [study.runs[0], *study.runs[:-1]]
    with pytest.raises(ValueError, match="two files for one run"):
        evaluate(**study.evaluate(runs=twice))


def test_an_arm_is_not_its_own_reference(study):
    with pytest.raises(ValueError, match="report.control: got 'none', the baseline"):
        study.evaluate(control="none")


def test_every_file_is_listed_with_its_digest(study):
    import hashlib

    sources = read(study, "sources")
    assert len(sources) == len(study.predictions) + 3 + len(study.draws)
    row = sources[(sources["arm"] == "gan") | (sources["arm"] == "balanced_gan")].iloc[0]
    with open(row["path"], "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == row["sha256"]
