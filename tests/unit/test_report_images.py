"""Arms of synthetic images alone, pairs, and images over a training, as the report shows them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rarecxr.gan.sample_sheet import write_sheet
from rarecxr.report.alone import COLUMNS, alone_results, alone_table
from rarecxr.report.banks import quality_table, read_qualities
from rarecxr.report.images import over_training
from rarecxr.report.pairs import paired_sheets
from rarecxr.statistics.comparisons import References

DEFINITIONS = {"none": {}, "gan": {"recipe": "plain"}, "alone": {"recipe": "plain", "real": False}}
REFERENCES = References("none", None)


def summary_of(**arms):
    rows = [
        {
            "finding": "Fracture",
            "fraction": 10.0,
            "arm": arm,
            "auc": auc,
            "auc_low": auc - 0.05,
            "auc_high": auc + 0.05,
            "change_vs_baseline": auc - arms["none"],
            "change_vs_baseline_low": auc - arms["none"] - 0.04,
            "change_vs_baseline_high": auc - arms["none"] + 0.04,
        }
        for arm, auc in arms.items()
    ]
    return pd.DataFrame(rows)


def runs_of(*arms):
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "fraction": 10.0,
                "finding": "Fracture",
                "seed": seed,
                "synthetic_positives": 0 if arm == "none" else 40,
                "synthetic_negatives": 0 if arm == "none" else 40,
                "real_positives": 20,
                "real_images": 300,
            }
            for arm in arms
            for seed in (0, 1)
        ]
    )


def npz(path, synthetic, total):
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            real=synthetic,
            synthetic=synthetic,
            nearest=synthetic,
            n_real=9,
            n_synthetic=total,
        )
    return path


def test_an_arm_without_real_images_stands_beside_the_arm_of_real_ones():
    found = alone_results(
        summary_of(none=0.8, gan=0.82, alone=0.65),
        runs_of("none", "gan", "alone"),
        DEFINITIONS,
        REFERENCES,
    )
    (row,) = found.to_dict("records")
    assert row["arm"] == "alone"
    assert row["auc_real"] == 0.8
    assert row["share"] == pytest.approx(0.5)
    assert row["change"] == pytest.approx(-0.15)
    assert [row[name] for name in COLUMNS[-4:]] == [40, 40, 20, 300]
    (cells,) = alone_table(found).rows
    assert [cell.text for cell in cells[2:5]] == ["alone", "0.650", "0.800"]
    assert cells[6].text == "50 %"
    assert (cells[7].text, cells[7].note) == ("40", "and 40 negatives")


def test_a_baseline_no_better_than_chance_has_no_share():
    found = alone_results(
        summary_of(none=0.5, alone=0.6), runs_of("none", "alone"), DEFINITIONS, REFERENCES
    )
    assert found["share"].isna().all()
    assert alone_table(found).rows[0][6].text == "–"


def test_doses_of_such_an_arm_are_rows_too_and_a_study_without_one_has_no_table():
    summary = summary_of(**{"none": 0.8, "alone@0.5": 0.6, "alone": 0.7})
    found = alone_results(summary, runs_of("none", "alone"), DEFINITIONS, REFERENCES)
    assert found["arm"].tolist() == ["alone@0.5", "alone"]
    empty = alone_results(summary_of(none=0.8), runs_of("none"), DEFINITIONS, REFERENCES)
    assert list(empty.columns) == COLUMNS
    assert alone_table(empty) is None


def paired(tmp_path, totals=(30, 30)):
    bright, dark = (np.full((4, 8, 8), grey, np.uint8) for grey in (200, 50))
    place = {"fraction": 10.0, "draw": 0, "finding": "Fracture"}
    return [
        {"recipe": "plain", **place, "sheet": npz(tmp_path / "with.npz", bright, totals[0])},
        {"recipe": "paired_plain", **place, "sheet": npz(tmp_path / "no.npz", dark, totals[1])},
    ]


def qualities_of(gans):
    quality = {
        "reference": "validation",
        "sharpness": {"real": 0.5, "synthetic": 0.6},
        "spaces": {"pixels": {"images": 10, "bank": {"kid": 0.1}, "floor": {"kid": 0.0}}},
    }
    aligned = {"alignment": {"pixels": {"pairs": 0.62, "others": 0.21}}}
    contents = [
        (gan, quality | (aligned if gan["recipe"].startswith("paired") else {})) for gan in gans
    ]
    return read_qualities(contents)[0]


def test_pairs_stand_above_each_other_with_their_alignment(tmp_path):
    gans = paired(tmp_path)
    (entry,) = paired_sheets(gans, qualities_of(gans), 3)
    assert (entry["finding"], entry["fraction"], entry["recipe"]) == ("Fracture", 10.0, "plain")
    assert len(entry["present"]) == len(entry["absent"]) == 3
    assert entry["present"][0] != entry["absent"][0]
    assert entry["alignment"] == [("pixels", 0.62, 0.21)]


def test_banks_of_two_sizes_are_no_pairs(tmp_path):
    gans = paired(tmp_path, totals=(30, 29))
    with pytest.raises(ValueError, match=r"no\.npz: has images of a bank of 29.* of 30"):
        paired_sheets(gans, qualities_of(gans), 3)


def test_the_paired_arm_stands_beside_its_bank(tmp_path):
    gans = paired(tmp_path)
    summary = summary_of(none=0.8, gan=0.82, paired_gan=0.85)
    recipes = {"gan": "plain", "paired_gan": "plain"}
    table = quality_table(qualities_of(gans), summary, recipes, ["paired_gan"])
    rows = {row[2].text: row for row in table.rows}
    assert rows["plain"][3].text.startswith("paired_gan")
    assert rows["plain"][3].note.startswith("gan")
    assert rows["paired_plain"][3].text.startswith("paired_gan")
    assert rows["paired_plain"][3].note == ""
    assert rows["paired_plain"][2].note == "negatives from the latents of plain"
    place = table.columns.index("alignment")
    assert rows["paired_plain"][place].text == "0.620"
    assert rows["paired_plain"][place].note == "0.210"


def test_rows_of_a_training_are_taken_apart_and_real_images_stay_together(tmp_path):
    greys = [10, 60, 110, 160, 210]
    rows = [("row", np.full((10, 16, 16), grey, np.uint8)) for grey in greys]
    write_sheet(tmp_path / "samples.png", "title", rows, "note")
    sheet = npz(tmp_path / "sheet.npz", np.zeros((2, 16, 16), np.uint8), 2)
    over, real = over_training(tmp_path / "samples.png", sheet)
    assert [row.getpixel((200, 50)) for row in over] == greys[:3]
    assert [real.getpixel((200, height)) for height in (50, 150)] == greys[3:]
    assert real.height == 2 * over[0].height


def test_a_sheet_without_generated_rows_is_refused(tmp_path):
    Image.new("L", (300, 64)).save(tmp_path / "samples.png")
    sheet = npz(tmp_path / "sheet.npz", np.zeros((2, 16, 16), np.uint8), 2)
    with pytest.raises(ValueError, match=r"samples\.png: has no row of generated images of 16"):
        over_training(tmp_path / "samples.png", sheet)
