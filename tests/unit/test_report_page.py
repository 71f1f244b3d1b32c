import re
import xml.etree.ElementTree as ElementTree

import h5py
import numpy as np
import pandas as pd
import pytest
from simulated_study import SimulatedStudy

from rarecxr.report import figures
from rarecxr.report.images import sheet
from rarecxr.report.page import make_report
from rarecxr.statistics.evaluation import evaluate

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
    return (study.root / "report/index.html").read_text()


def page_of(made, folder, gans=(), **changed):
    places = {"page": folder / "index.html", "figure_folder": folder / "figures"}
    make_report(**made.make_report(gans, **places, **changed))
    return (folder / "index.html").read_text()


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
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)[2:]
    assert len(rows) == len(summary)
    for row, expected in zip(rows, summary.itertuples(), strict=True):
        cells = re.findall(r'data-sort="([^"]*)"', row)
        assert cells[0] == expected.finding
        assert float(cells[4]) == expected.auc
        assert f"{expected.auc:.3f}" in row
        if expected.arm != "none":
            assert float(cells[5]) == expected.change
            assert f"{expected.change_detectable:.3f}" in row


def test_a_phantom_study_says_so_and_another_does_not(study, page, tmp_path):
    assert "Digital phantoms, not patients." in page
    assert page.index("Digital phantoms") < page.index("Do synthetic chest X-rays help")
    other = page_of(study, tmp_path, phantom=False)
    assert "hantom" not in re.sub(r"<style>.*?</style>", "", other, flags=re.S)


def test_text_from_outside_is_escaped(study, tmp_path):
    bad = '<script>alert("x")</script>'
    page = page_of(study, tmp_path, title=bad, introduction=f"{bad} & more", study=bad)
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


def test_without_an_arm_that_uses_a_gan_the_question_is_not_asked(study, tmp_path):
    assert "Not asked" in page_of(study, tmp_path, headline_arms=["gan"])


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
        text = path.read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "dc:date" not in text
        assert "currentColor" not in text
        assert len(pd.read_csv(path.with_suffix(".csv"))) > 0


def test_arms_differ_in_more_than_colour():
    looks = figures.Looks(["none", *(f"arm{i}" for i in range(14))])
    pairs = [(looks.colour(name), looks.dash(name)) for name in looks.names]
    assert len(set(pairs)) == 14
    assert len({looks.dash(name) for name in looks.names[:7]}) == 7
    assert len({looks.marker(name) for name in looks.names[:7]}) == 7


def test_a_synthetic_image_that_copies_a_training_image_is_found(study, tmp_path):
    gan = study.gans[0]
    generator = np.random.default_rng(0)
    real = generator.integers(0, 256, (700, 64, 64), dtype=np.uint8)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["images"] = real
        # A filtered copy of the very image is no original and never the nearest one.
        file["filter"] = np.where(np.arange(700) % 2, "none", "gaussian").tolist()
    bank = tmp_path / "bank.h5"
    bank.write_bytes(gan["bank"].read_bytes())
    with h5py.File(bank, "a") as file:
        del file["images"]
        copies = real[[651, 3, 333]].astype(int) + generator.integers(-4, 5, (3, 64, 64))
        file["images"] = np.clip(copies, 0, 255).astype(np.uint8)
    from rarecxr.report.images import png

    found = sheet(tmp_path / "set.h5", bank, 3)
    assert found.nearest == [png(real[place]) for place in (651, 3, 333)]
    assert found.n_real == 350
    assert found.n_synthetic == 3


def test_a_sheet_shows_originals_only_at_equal_distances(study):
    gan = study.gans[0]
    with h5py.File(gan["training_set"]) as file:
        originals = file["images"][:][file["filter"].asstr()[:] == "none"]
    from rarecxr.report.images import png

    found = sheet(gan["training_set"], gan["bank"], 5)
    assert found.n_real == len(originals) == 20
    assert found.real == [png(originals[place]) for place in (0, 4, 9, 14, 19)]


def test_a_study_of_single_runs_says_that_it_is_only_a_look(study, page, tmp_path):
    assert "A look, not an answer." not in page
    single = SimulatedStudy(tmp_path / "single", patients=400, arms=ARMS, seeds=1)
    evaluate(**single.evaluate(resamples=200, subgroup_resamples=100))
    text = page_of(single, tmp_path)
    assert "A look, not an answer." in text
    assert "with 95 % intervals over patients<" in text
    assert "another run would have gone another way" in text
