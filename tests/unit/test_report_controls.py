"""Tables of the controls: what banks look filtered, and what was checked for leaks."""

import json

import pandas as pd
import pytest

from rarecxr.report import filters, sections


def leak(share, corrected, **more):
    return {"share": share, "real_share": 0.02, "corrected": corrected, **more}


@pytest.fixture
def leaks(tmp_path):
    paths = []
    for draw, share in ((0, 0.2), (1, 0.4)):
        leak_of_draw = {
            "fraction": 10.0,
            "draw": draw,
            "detectors": {
                "gaussian": {"kind": "gaussian", "accuracy": 0.99 - draw / 100},
                "unsharp": {"kind": "unsharp", "too_few_images": True},
            },
            "banks": [
                {
                    "recipe": "filtered",
                    "finding": "Fracture",
                    "images": 60,
                    "sharpness": {"bank": {"median": 0.3}, "real": {"median": 0.4}},
                    "filters": {"gaussian": leak(share, share + 0.05, low=share, high=share + 0.1)},
                }
            ],
        }
        paths.append(tmp_path / f"draw{draw}.json")
        paths[-1].write_text(json.dumps(leak_of_draw), encoding="utf-8")
    return filters.read_filter_leaks(paths)


def test_filter_leaks_become_a_row_a_bank_and_filter(leaks):
    assert list(leaks.columns) == filters.COLUMNS
    assert len(leaks) == 4
    blurred = leaks[leaks["filter"] == "gaussian"]
    assert blurred["share"].tolist() == [0.2, 0.4]
    assert leaks.loc[leaks["filter"] == "unsharp", "share"].isna().all()


def test_the_page_shows_the_corrected_share_over_draws(leaks):
    table = filters.filter_table(leaks)
    [row] = [dict(zip(table.columns, cells, strict=True)) for cells in table.rows]
    assert row["gaussian"].text == "0.350"
    assert row["gaussian"].note == "[0.300, 0.400]"
    assert row["unsharp"].text == "–"
    assert row["sharpness"].text == "0.300"
    assert row["sharpness"].note == "0.400"
    assert sum(cell.span for cell in table.groups) == len(table.columns)
    assert filters.detectors(leaks) == "gaussian 0.98 to 0.99"
    assert filters.filter_table(leaks.iloc[:0]) is None


def test_every_check_for_leaks_is_shown_with_what_it_looked_at():
    leakage = pd.DataFrame(
        [
            {"check": "split", "promise": "no patient in two splits"}
            | {"files": 1, "items": 64540, "noted": 3}
        ]
    )
    table = sections.leakage_table(leakage)
    assert [cell.text for cell in table.rows[0]] == [
        "split",
        "no patient in two splits",
        "1",
        "64\u202f540",
        "3",
    ]
