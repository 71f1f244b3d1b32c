import io
import json
import re
import shutil
import urllib.parse
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from simulated_study import SimulatedStudy

from rarecxr.data.formats.registry import FORMATS
from rarecxr.data.image_notes import GREY_LEVELS, NOTE_COLUMNS, OTHER_PATIENT
from rarecxr.report import wording as words
from rarecxr.report.drawing import INK, ArmStyles
from rarecxr.report.matrix import matrix
from rarecxr.report.page import make_report
from rarecxr.statistics.comparisons import References
from rarecxr.statistics.evaluation import evaluate
from rarecxr.statistics.summary import COLUMNS

ARMS = ("none", "oversample", "balanced_gan")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = SimulatedStudy(
        tmp_path_factory.mktemp("study"), patients=900, expert_patients=30, arms=ARMS, seeds=2
    )
    evaluate(**made.evaluate(resamples=200, subgroup_resamples=100))
    made.gans = made.make_gans(recipes=("filtered",))
    make_report(**made.make_report(made.gans))
    return made


@pytest.fixture(scope="module")
def page(study):
    return (study.root / "report/index.html").read_text(encoding="utf-8")


def page_of(made, folder, gans=(), **changed):
    make_report(**made.make_report(gans, folder=folder, **changed))
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_is_one_file_that_asks_for_no_other(page):
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert all(re.match(r"data:|#", address) for address in addresses)
    assert "@import" not in page
    # Names of XML languages inside the drawings are no addresses that anything asks for.
    rest = re.sub(r'xmlns(:\w+)?="[^"]*"|<rdf:RDF.*?</rdf:RDF>', "", page, flags=re.S)
    assert "http" not in rest


def test_the_page_holds_every_number_of_the_summary(study, page):
    summary = pd.read_csv(study.root / "report/summary.csv")
    table = re.search(r'<table id="changes".*?</table>', page, re.S).group()
    rows = re.findall(r'<tr id="changes-[^>]*>(.*?)</tr>', table, re.S)
    assert len(rows) == len(summary)
    for row, expected in zip(rows, summary.itertuples(), strict=True):
        cells = re.findall(r'data-sort="([^"]*)"', row)
        assert cells[0] == expected.finding
        assert float(cells[4]) == expected.auc
        assert f"{expected.auc:.3f}" in row
        if expected.arm != "none":
            assert float(cells[5]) == expected.change_vs_baseline
            assert f"{expected.change_vs_baseline_detectable:.3f}" in row


def test_a_phantom_study_says_so_and_another_does_not(study, page, tmp_path):
    assert "Digital phantoms, not patients." in page
    assert page.index("Digital phantoms") < page.index("Do synthetic chest X-rays help")
    settings = study.make_report()["settings"]
    settings["dataset"] |= {"name": "CheXpert-v1.0-small", "root": "data/CheXpert-v1.0-small"}
    other = page_of(study, tmp_path, settings=settings)
    assert "Images of CheXpert-v1.0-small (views AP, PA)" in other
    assert "hantom" not in re.sub(r"<style>.*?</style>", "", other, flags=re.S)


def test_text_from_outside_is_escaped(study, tmp_path):
    bad = '<script>alert("x")</script>'
    page = page_of(
        study, tmp_path, report={"title": bad, "introduction": f"{bad} & more"}, study=bad
    )
    assert bad not in page
    assert page.count("&lt;script&gt;alert") >= 4


def test_the_page_is_the_same_to_the_byte_when_made_again(study, page, tmp_path):
    # The names of the tables' files are on the page, their folder is not.
    assert page_of(study, tmp_path, study.gans) == page
    assert str(tmp_path) not in page
    before = sorted((study.root / "report/figures").iterdir())
    after = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in before] == [path.name for path in after]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(before, after, strict=True))


def test_a_study_without_gans_has_a_page_without_images(study, tmp_path):
    page = page_of(study, tmp_path)
    assert "<img" not in page
    assert 'href="#s-images"' not in page
    assert not list((tmp_path / "figures").glob("training_*"))


def test_an_arm_of_any_name_that_uses_a_gan_is_one_the_answer_can_be_about(study, tmp_path):
    page = page_of(study, tmp_path, report={"headline_arms": ["gan"]})
    assert "Not asked" not in page
    assert "With synthetic images (arm balanced_gan), compared with arm none" in page


@pytest.mark.parametrize("arms", [("none",), ("none", "oversample")])
def test_a_study_without_an_arm_that_uses_a_gan_has_its_page(tmp_path, arms):
    small = SimulatedStudy(tmp_path / "small", patients=400, arms=arms, seeds=1, fractions=(100,))
    evaluate(**small.evaluate(resamples=200, subgroup_resamples=100))
    page = page_of(small, tmp_path)
    assert "Not asked" in page
    assert "No arm of this study adds synthetic images to real ones." in page


def test_every_link_inside_the_page_has_its_target(page):
    targets = set(re.findall(r'\bid="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links
    assert links <= targets
    clips = set(re.findall(r"url\(#([^)]+)\)", page))
    assert clips
    assert clips <= targets


def test_every_figure_is_a_drawing_without_date_beside_its_data(study):
    folder = study.root / "report/figures"
    drawings = sorted(folder.glob("*.svg"))
    assert {path.stem for path in drawings} >= {"forest", "roc_fracture", "calibration_fracture"}
    for path in drawings:
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "date" not in text
        assert "metadata" not in text
        assert "currentColor" not in text
        assert len(pd.read_csv(path.with_suffix(".csv"))) > 0


def test_the_data_of_every_figure_can_be_saved_from_the_page(study, page):
    links = dict(re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8,([^"]+)"', page))
    drawings = sorted((study.root / "report/figures").glob("*.svg"))
    assert set(links) == {path.with_suffix(".csv").name for path in drawings}
    forest = pd.read_csv(io.StringIO(urllib.parse.unquote(links["forest.csv"])))
    summary = pd.read_csv(study.root / "report/summary.csv")
    changed = summary[summary["arm"] != "none"]
    name = "change_vs_baseline"
    assert forest[name].to_list() == changed[name].to_list()


def test_doses_are_shown_where_several_were_tried(study, page, tmp_path):
    assert 'id="s-dose"' not in page
    rows = [
        {"finding": "Fracture", "fraction": fraction, "arm": "balanced_gan", "dose": dose}
        | {"chosen": int(dose == 2), "draws": 1, "seeds": 2, "auc": 0.7 + dose / 100}
        | {"val_auc": 0.71, "auc_low": 0.65, "auc_high": 0.8}
        for fraction in (10, 100)
        for dose in (0, 1, 2, 4)
    ]
    tables = tmp_path / "tables"
    shutil.copytree(study.root / "report", tables, ignore=shutil.ignore_patterns(".*.sha256"))
    pd.DataFrame(rows).to_csv(tables / "dose.csv", index=False)
    swept = page_of(study, tmp_path, tables=tables)
    assert 'href="#s-dose"' in swept
    assert (tmp_path / "figures/dose_fracture.svg").exists()
    assert not (tmp_path / "figures/dose_lung_lesion.svg").exists()
    data = pd.read_csv(tmp_path / "figures/dose_fracture.csv")
    assert data.query("chosen == 1")["dose"].tolist() == [2, 2]


def test_the_banks_quality_is_written_as_a_table_and_shown(study, page):
    table = pd.read_csv(study.root / "report/quality.csv")
    assert len(table) == len(study.gans) * 2
    written = json.loads(study.gans[0]["quality"].read_text(encoding="utf-8"))["spaces"]["random"]
    row = table[(table["space"] == "random")].iloc[0]
    assert row["kid"] == pytest.approx(written["bank"]["kid"], abs=1e-5)
    assert row["c2st_floor"] == 0.5
    shown = re.search(r'<table id="quality".*?</table>', page, re.S).group()
    assert f"{row['c2st']:.3f}" in shown
    assert "balanced_gan +" in shown or "balanced_gan −" in shown
    assert (study.root / "report/figures/quality.svg").exists()


def test_what_looks_filtered_and_what_was_checked_for_leaks_is_shown(study, page):
    leaks = pd.read_csv(study.root / "report/filters.csv")
    assert len(leaks) == len(study.gans) * 3
    assert "gaussian 0.98 to 0.98" in page
    shown = re.search(r'<table id="filters".*?</table>', page, re.S).group()
    assert shown.count("[0.200, 0.360]") == len(leaks)
    assert "every patient is in one split" in page


def test_odd_images_are_counted_and_copies_across_splits_are_a_warning(study, page, tmp_path):
    assert "none has grey levels unlike the others" in page
    assert "Copies across splits" not in page
    arguments = study.make_report()
    rows = [
        ("a/1.png", 0, OTHER_PATIENT, "as b/1.png"),
        ("b/1.png", 1, OTHER_PATIENT, "as a/1.png"),
        ("c/1.png", 2, GREY_LEVELS, "hardly any contrast"),
    ]
    pd.DataFrame(rows, columns=NOTE_COLUMNS).to_csv(arguments["notes"], index=False)
    path = study.root / "report/leakage.csv"
    for noted in (0, 2):
        pd.read_csv(path).assign(check="copies", noted=noted).to_csv(path, index=False)
        make_report(**arguments | {"folder": tmp_path})
        text = (tmp_path / "index.html").read_text(encoding="utf-8")
        assert (
            "2 images with the same pixels as another patient&#39;s image, saved as another file; "
            f"{noted} of them with a copy in another split. 1 image whose grey levels differ"
        ) in text
        assert ("Copies across splits" in text) is (noted > 0)


def test_where_nothing_was_published_there_is_no_table_of_dashes(study, page, tmp_path):
    assert '<table id="published"' in page
    assert "Dotted: the published change" in page
    table = pd.read_csv(study.make_report()["published"])
    table[table["finding"] == "Edema"].to_csv(tmp_path / "published.csv", index=False)
    other = page_of(study, tmp_path, published=tmp_path / "published.csv")
    assert '<table id="published"' not in other
    assert "No published results are known for these findings" in other
    assert "Dotted: the published change" not in other


def test_the_methods_say_in_what_ways_classifiers_were_trained(study, page, tmp_path):
    for word in ("moving averages", "statistics of batch", "weight in the loss", "images alone"):
        assert word not in page
    settings = study.make_report()["settings"]
    settings["arms"]["oversample"]["loss_weight"] = 0.5
    settings["arms"]["balanced_gan"] |= {"negatives": True, "real": False}
    settings["classifier"] |= {"weight_ema": 3000.0, "batch_norm": "real"}
    changed = page_of(study, tmp_path, settings=settings)
    assert "moving averages of the weights, with a half-life of 3\u202f000 images" in changed
    assert "statistics of batch normalization were estimated anew from the real" in changed
    assert "had a weight in the loss of 0.5 in arm oversample." in changed
    assert "In arm balanced_gan synthetic images alone were trained on." in changed
    # The answer is about what synthetic images add to real ones.
    assert "No arm of this study adds synthetic images to real ones." in changed


def test_the_methods_name_versions_seeds_and_digests(study, page):
    methods = re.search(r'<div id="methods">.*?</div>', page, re.S).group()
    assert f"numpy {np.__version__}" in methods
    assert "torch 2.0" in methods
    assert "1 for the split and the draws, 1 for the GANs, 1 for the banks" in methods
    sources = pd.read_csv(study.root / "report/sources.csv")
    for name in ("labels.parquet", "split.csv"):
        assert sources.loc[sources["path"].str.endswith(name), "sha256"].item() in methods
    assert "Uncertain labels counted as positive, blank ones as negative." in methods
    assert "lowest kernel inception distance were used (feature space classifier;" in methods
    assert "Excluded were near-copies (nearer to a training image than percentile 1" in methods
    assert "excluded with all their images" not in methods
    assert "could not be decoded" not in methods


def test_the_methods_say_what_was_thinned_and_selected(study, tmp_path):
    settings = study.make_report()["settings"]
    settings["dataset"]["thin"] = {"Fracture": 0.03}
    settings["bank"]["select"] |= {"implausible": 0.1}
    settings["gan"]["evaluation"]["keep"] = "last"
    page = page_of(study, tmp_path, settings=settings)
    assert "Of the training patients with Fracture, 3 % were kept" in page.replace("\u00a0", " ")
    assert "and the 10 % with the lowest predicted probability" in page.replace("\u00a0", " ")
    assert "The networks at the end of each training were used." in page


def test_arms_differ_in_more_than_colour():
    styles = ArmStyles(["none", *(f"arm{i}" for i in range(14))], "none")
    assert styles.colour("none") == INK
    assert "none" not in styles.names
    pairs = [(styles.colour(name), styles.dash(name)) for name in styles.names]
    assert len(set(pairs)) == 14
    assert len({styles.dash(name) for name in styles.names[:7]}) == 7
    assert len({styles.marker(name) for name in styles.names[:7]}) == 7


def test_a_study_of_single_runs_says_that_it_is_preliminary(study, page, tmp_path):
    assert "Preliminary." not in page
    single = SimulatedStudy(tmp_path / "single", patients=400, arms=ARMS, seeds=1)
    evaluate(**single.evaluate(resamples=200, subgroup_resamples=100))
    text = page_of(single, tmp_path)
    assert "Preliminary." in text
    assert "with 95 % intervals over patients<" in text
    assert (
        "they cover the choice of test patients and not the variation between training runs" in text
    )


def test_figures_of_changes_without_any_interval_are_folded_away(study, page, tmp_path):
    tables = tmp_path / "tables"
    shutil.copytree(study.root / "report", tables, ignore=shutil.ignore_patterns(".*.sha256"))
    summary = pd.read_csv(tables / "summary.csv")
    summary.assign(interval_over="").to_csv(tables / "summary.csv", index=False)
    folded = page_of(study, tmp_path, study.gans, tables=tables)
    for name in ("s-changes", "s-gans"):
        section = rf'<section id="{name}">.*?</section>'
        summaries = [
            re.findall(r"<summary>([^<]*without any interval[^<]*)", found.group(), re.I)
            for found in (re.search(section, text, re.S) for text in (folded, page))
        ]
        assert [len(found) for found in summaries] == [1, 0]


def test_a_failing_run_leaves_the_last_complete_page(study, page, tmp_path):
    page_of(study, tmp_path)
    whole = (tmp_path / "last_complete.html").read_bytes()
    assert whole == (tmp_path / "index.html").read_bytes()
    # As Snakemake does before it runs a rule again.
    (tmp_path / "index.html").unlink()
    with pytest.raises(ValueError, match="columns are"):
        page_of(study, tmp_path, published=study.root / "report/auc.csv")
    assert (tmp_path / "last_complete.html").read_bytes() == whole


def test_the_overview_has_every_cell_and_arm_with_its_change_and_verdict(study, page):
    summary = pd.read_csv(study.root / "report/summary.csv")
    table = re.search(r'<table id="matrix".*?</table>', page, re.S).group()
    cells = re.findall(r'data-row="([^"]+)"[^>]*aria-label="([^"]+)"', table)
    overall = pd.read_csv(study.root / "report/overall.csv").query("role == 'baseline'")
    assert len(cells) == len(summary) + len(overall)
    labels = dict(cells)
    for row in summary.itertuples():
        label = labels[f"changes-{row.finding.replace(' ', '_')}-{row.fraction:g}-{row.arm}"]
        assert label.startswith(f"{row.finding}, {row.fraction:g}\u00a0%, {row.arm}: ")
        if row.arm == "none":
            assert f"{row.auc:.3f}" in label
            continue
        assert words.signed(row.change_vs_baseline) in label
        mark = {"better": "▲", "worse": "▼"}.get(row.verdict_vs_baseline)
        assert (mark is None and not re.search("[▲▼]", label)) or label.endswith(mark)
    # What a press shows is looked up in the rows of the tables below.
    rows = set(re.findall(r'<tr id="([^"]+)"', page))
    assert set(labels) <= rows


def test_the_overviews_colours_are_steps_of_the_margin():
    changes = {-0.05: -3, -0.02: -2, -0.01: -1, -0.009: 0, 0: 0, 0.0101: 1, 0.03: 2, 0.04: 3}
    row = dict.fromkeys(COLUMNS, np.nan) | {"finding": "Fracture", "fraction": 10.0}
    verdicts = {"verdict_vs_baseline": "inconclusive", "verdict_vs_control": ""}
    rows = [row | {"arm": "none", "auc": 0.7, "verdict_vs_baseline": ""}]
    rows += [
        row | verdicts | {"arm": f"arm{change}", "change_vs_baseline": change} for change in changes
    ]
    overall = pd.DataFrame(columns=["arm", "role", "reference", "change"])
    made = matrix(pd.DataFrame(rows), overall, References("none"), None, margin=0.01)
    [(_, _, [baseline, *cells])] = made.rows
    assert baseline.level is None
    assert [cell.level for cell in cells] == list(changes.values())


def test_warnings_about_banks_stand_on_top_of_the_page(study, tmp_path):
    warned = tmp_path / "quality.json"
    content = json.loads(study.gans[0]["quality"].read_text(encoding="utf-8"))
    content["warnings"] = ["almost all images are flat grey"]
    warned.write_text(json.dumps(content), encoding="utf-8")
    gans = [{**study.gans[0], "quality": warned}, *study.gans[1:]]
    page = page_of(study, tmp_path / "warned", gans)
    line = "Lung Lesion, 10\u00a0%, recipe filtered: almost all images are flat grey"
    assert line in page
    assert page.index(line) < page.index("s-overview")
    calm = page_of(study, tmp_path / "calm", study.gans)
    assert "Warnings" not in calm


def test_images_that_could_not_be_decoded_are_named_in_the_methods(study, tmp_path):
    tables = tmp_path / "tables"
    shutil.copytree(study.root / "report", tables, ignore=shutil.ignore_patterns(".*.sha256"))
    patients = pd.read_csv(tables / "patients.csv")
    patients["n_unreadable"] = (patients["split"] == "test") * 7 + (patients["split"] == "train")
    patients.to_csv(tables / "patients.csv", index=False)
    # One of all training patients, whatever the number of fractions.
    assert "8 images could not be decoded and took no part." in page_of(
        study, tmp_path, tables=tables
    )


def test_one_conditional_gan_is_not_said_to_be_one_for_each_finding(study, tmp_path):
    settings = study.make_report()["settings"]
    settings["arms"]["balanced_gan"]["recipe"] = "conditional"
    page = page_of(study, tmp_path, settings=settings)
    assert "from one GAN per fraction and draw" in page
    assert "was fine-tuned from a base GAN" not in page


def test_negatives_in_pairs_are_described(study, tmp_path):
    settings = study.make_report()["settings"]
    sentence = "In arm balanced_gan each synthetic positive has a synthetic negative from the same"
    assert sentence not in page_of(study, tmp_path, settings=settings)
    settings["arms"]["balanced_gan"]["negatives"] = "paired"
    assert sentence in page_of(study, tmp_path, settings=settings)


def test_pretraining_without_labels_is_counted_in_its_row_and_in_the_methods(study, page, tmp_path):
    sentence = "first pretrained by self-supervision (SimCLR; Chen et al. 2020) on the"
    assert sentence not in page
    assert "pretrained without labels" not in page
    tables = tmp_path / "tables"
    shutil.copytree(study.root / "report", tables, ignore=shutil.ignore_patterns(".*.sha256"))
    runs = pd.read_csv(tables / "runs.csv")
    runs["unlabelled_images"] = 1200 * (runs["arm"] == "oversample")
    runs.to_csv(tables / "runs.csv", index=False)
    settings = study.make_report()["settings"]
    settings["arms"]["oversample"]["unlabelled"] = True
    changed = page_of(study, tmp_path, settings=settings, tables=tables)
    assert f"In arm oversample the network was {sentence} 1\u202f200 images of all" in changed
    assert "There a fraction is one of labelled patients." in changed
    rows = re.search(r'<table id="training".*?</table>', changed, re.S).group().split("<tr")
    noted = [row for row in rows if "pretrained without labels on 1\u202f200 images" in row]
    assert len(noted) == runs["fraction"].nunique()
    assert all("oversample" in row for row in noted)


@pytest.mark.long
def test_a_large_study_has_a_page_below_3_mb(tmp_path):
    """With 4 fractions, 6 arms and 24 banks, of images that compress about as well as X-rays."""
    large = SimulatedStudy(tmp_path / "large", patients=500, seeds=2, fractions=(1, 10, 50, 100))
    evaluate(**large.evaluate(resamples=200, subgroup_resamples=100))
    page = page_of(large, tmp_path, large.make_gans())
    assert len(page.encode()) < 3e6


def test_the_methods_say_what_the_format_of_the_data_set_means(study, tmp_path):
    page = page_of(study, tmp_path / "plain")
    assert "were split by patient before any training" in page
    about = FORMATS["vindr"].about
    published = {"format": "vindr", "split": "published", "about": about, "root": "x"}
    dataset = study.make_report()["settings"]["dataset"] | published
    page = page_of(study, tmp_path / "vindr", settings={"dataset": dataset})
    assert f"{about}." in page
    assert "a data set in the layout of vindr" in page
    assert "were split by patient as the data set is published before any training" in page
    assert "dataset.about" not in page
