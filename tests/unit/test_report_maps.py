"""What the page shows of what the classifiers look at."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from simulated_study import SimulatedStudy

from rarecxr.classifier.map_file import MapFile, write_maps
from rarecxr.report.maps import explained_images
from rarecxr.report.page import make_report
from rarecxr.statistics.evaluation import evaluate
from rarecxr.study.findings import slug

ARMS = ["none", "balanced_gan"]


def write(folder, finding, falls, synthetic=(False, True)):
    """Maps of grey images: `falls[row][arm]` in the left half, zero in the right one."""
    maps = np.zeros((len(falls), len(ARMS), 32, 32), np.float32)
    maps[..., :16] = np.float32(falls)[..., None, None]
    about = {"finding": finding, "arms": ARMS, "fraction": "100", "draw": 0, "seed": 0}
    about |= {"recipe": "filtered", "positives": 57, "patients": 41, "bank": 1234}
    about |= {"architecture": "small_resnet10", "window_px": 4, "stride_px": 2, "provenance": {}}
    path = folder / f"{slug(finding)}.npz"
    content = MapFile(
        images=np.full((len(falls), 32, 32), 128, np.uint8),
        synthetic=np.array(synthetic),
        names=np.array(["train/a.jpg", "3"]),
        logits=np.float32([[1.25, -2], [0, 3]]),
        maps=maps,
        about=about,
    )
    write_maps(path, content)
    return path


def pixels(address):
    data = base64.b64decode(address.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_all_maps_of_a_finding_have_one_scale_of_colours(tmp_path):
    path = write(tmp_path, "Fracture", [[2.0, -2.0], [1.0, 0.0]])
    [entry] = explained_images([path])
    assert entry["limit"] == "2"
    real, synthetic = (group["examples"][0]["maps"] for group in entry["groups"])
    centre = {}
    for name, shown in (("2", real[0]), ("-2", real[1]), ("1", synthetic[0]), ("0", synthetic[1])):
        picture = pixels(shown["picture"])
        centre[name] = picture[16, 6]
        # Where nothing falls, the map is as grey as the image lets it be.
        assert np.ptp(picture[16, 26]) < 12
    red = {name: (pixel[0] - pixel[2]) / pixel.sum() for name, pixel in centre.items()}
    assert red["2"] > red["1"] > 0.1 > 0.05 > abs(red["0"])
    assert red["-2"] < -0.1
    # A fall of 1 is half of the scale, not the end of it.
    assert centre["1"].sum() > centre["2"].sum() + 60
    assert [one["logit"] for one in real] == ["+1.2", "−2.0"]


def test_an_empty_map_is_shown_without_colour(tmp_path):
    [entry] = explained_images([write(tmp_path, "Fracture", [[0, 0], [0, 0]])])
    picture = pixels(entry["groups"][0]["examples"][0]["maps"][0]["picture"])
    assert np.ptp(picture[8:24, 8:24], axis=-1).max() < 12


def test_without_a_bank_there_is_one_group(tmp_path):
    path = write(tmp_path, "Fracture", [[1, 0], [0, 1]], synthetic=(False, False))
    [entry] = explained_images([path])
    assert [(group["kind"], len(group["examples"])) for group in entry["groups"]] == [("real", 2)]


def test_damaged_maps_make_no_page(tmp_path):
    path = write(tmp_path, "Fracture", [[1, 0], [0, 1]])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"fracture\.npz: damaged"):
        explained_images([path])


def test_the_page_shows_maps_with_their_scale_and_limits_where_there_are_any(tmp_path):
    study = SimulatedStudy(tmp_path / "study", patients=400, arms=tuple(ARMS), seeds=1)
    evaluate(**study.evaluate(resamples=200, subgroup_resamples=100))
    findings = ["Lung Lesion", "Fracture"]
    maps = [write(tmp_path, finding, [[2.0, 0], [1, 0]]) for finding in findings]
    pages = []
    for paths in ([], maps):
        make_report(**study.make_report(maps=paths))
        pages.append((study.root / "report/index.html").read_text(encoding="utf-8"))
    without, page = pages
    assert 'id="s-maps"' not in without
    assert 'href="#s-maps"' not in without
    section = re.search(r'<section id="s-maps">.*?</section>', page, re.S).group()
    assert page.count('href="#s-maps"') == 1
    for finding in findings:
        assert f"<h3>{finding} " in section
    # Of two examples with two maps each, two findings.
    assert section.count("<img") == 2 * 2 * 3
    assert section.count("fall of the logit when this region is grey") == 2
    assert section.count("+2</span>") == 2
    text = section.replace("\u202f", "")
    assert "57 test images of 41 patients show Fracture." in text
    assert "through the bank of 1234 (recipe filtered), which balanced_gan was trained on" in text
    assert "A map shows sensitivity, not correctness." in section
    assert "Adebayo et al. 2018" in section
    assert "Saporta et al. 2022" in section
    # What the pictures come from is among the files.
    files = re.search(r'<table id="files".*?</table>', page, re.S).group()
    assert "lung_lesion.npz" in files
