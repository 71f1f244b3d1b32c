"""The report's page as a reader's browser shows it. Screenshots go to .ci-artifacts/."""

import re
from pathlib import Path

import pytest
from browser import Page, find_browser
from simulated_study import SimulatedStudy

from rarecxr.report.page import make_report
from rarecxr.statistics.evaluation import evaluate

PICTURES = Path(__file__).parents[2] / ".ci-artifacts"
# Two of the arms are given the parts of one of synthetic images alone and of one with pairs.
ARMS = ("none", "oversample", "gan", "balanced_gan", "standard", "filtered_gan")
DEFINITIONS = {
    "none": {},
    "oversample": {"oversample": True},
    "gan": {"recipe": "plain"},
    "balanced_gan": {"recipe": "filtered", "negatives": True},
    "standard": {"recipe": "plain", "negatives": True, "real": False},
    "filtered_gan": {"recipe": "plain", "negatives": "paired"},
}
WIDTHS = (1200, 800, 400)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    try:
        find_browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    study = SimulatedStudy(
        tmp_path_factory.mktemp("study"), patients=900, expert_patients=60, arms=ARMS, seeds=2
    )
    evaluate(**study.evaluate(resamples=200, subgroup_resamples=100))
    gans = study.make_gans(recipes=("plain", "filtered", "paired_plain"))
    make_report(**study.make_report(gans, settings={"arms": DEFINITIONS}))
    return (study.root / "report/index.html").as_uri()


@pytest.fixture
def page(address, tmp_path):
    with Page(tmp_path / "profile") as opened:
        opened.size(1300, 900)
        opened.open(address)
        yield opened


def column(page, table, number):
    return page.run(
        f"[...document.querySelectorAll('#{table} tbody tr')]"
        f".map(row => row.cells[{number}].dataset.sort)"
    )


def press(page, table, number):
    page.run(
        f"[...document.querySelector('#{table}').tHead.rows].at(-1)"
        f".cells[{number}].querySelector('button').click()"
    )


def test_the_page_loads_without_errors_and_asks_for_nothing_else(page, address):
    assert page.run("document.querySelector('h1').textContent") == (
        "Synthetic chest X-rays for rare findings"
    )
    assert page.complaints == []
    assert {request for request in page.requests if not request.startswith("data:")} == {address}


def test_every_image_and_figure_shows(page):
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.run("Promise.all([...document.images].map(image => image.decode()))")
    images = page.run("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(images) > 50
    assert all(images)
    sizes = page.run(
        "[...document.querySelectorAll('figure > svg, img')]"
        # Of a training one image shows, at the slider's place.
        ".filter(figure => !figure.closest('.over-time')).map(figure =>"
        " { const r = figure.getBoundingClientRect(); return Math.min(r.width, r.height); })"
    )
    assert min(sizes) > 30


def test_tables_sort_by_value_both_ways_and_keep_the_empty_last(page):
    number = 5
    before = column(page, "changes", number)
    filled = sorted(float(value) for value in before if value)
    empty = [value for value in before if not value]
    assert empty
    assert filled
    press(page, "changes", number)
    after = column(page, "changes", number)
    assert [float(value) for value in after[: len(filled)]] == filled
    assert after[len(filled) :] == empty
    press(page, "changes", number)
    after = column(page, "changes", number)
    assert [float(value) for value in after[: len(filled)]] == filled[::-1]
    assert after[len(filled) :] == empty
    assert page.run("document.querySelectorAll('#changes [aria-sort=descending]').length") == 1


def test_words_sort_as_words_and_equal_rows_keep_their_order(page):
    arms = column(page, "changes", 2)
    press(page, "changes", 0)
    findings = column(page, "changes", 0)
    assert findings == sorted(findings)
    per_finding = len(arms) // 3
    assert column(page, "changes", 2)[:per_finding] == arms[:per_finding]


def test_every_table_that_can_be_sorted_can_be_sorted_by_every_column(page):
    tables = page.run(
        "[...document.querySelectorAll('table.sortable')]"
        ".map(table => [table.id, [...table.tHead.rows].at(-1).cells.length])"
    )
    assert len(tables) >= 8
    for table, width in tables:
        rows = len(column(page, table, 0))
        for number in range(width):
            press(page, table, number)
        assert len(column(page, table, 0)) == rows > 0
    assert page.complaints == []


def test_on_a_phone_nothing_reaches_beyond_the_edge(page):
    page.size(360, 740, phone=True)
    assert page.run("document.documentElement.scrollWidth") <= 360
    page.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.run("document.documentElement.scrollWidth") <= 360
    page.screenshot(PICTURES / "report-phone.png", "header")
    page.screenshot(PICTURES / "report-phone-changes.png", "#s-changes")


def test_a_figure_saves_as_a_file_of_its_own(page):
    page.run(
        "window.saved = []; URL.createObjectURL = (blob) => { saved.push(blob); return '#'; };"
        "HTMLAnchorElement.prototype.click = function () { saved.push(this.download); }"
    )
    page.run("document.querySelector('#s-changes .save button').click()")
    assert page.run("saved[1]") == "forest.svg"
    drawing = page.run("saved[0].text()")
    assert drawing.startswith("<svg")
    assert "currentColor" not in drawing
    assert page.complaints == []


def test_a_pressed_cell_of_the_overview_shows_its_numbers(page):
    page.run("document.querySelector('[data-row=\"changes-Fracture-10-balanced_gan\"]').click()")
    shown = page.run("document.getElementById('numbers').innerText")
    row = page.run(
        "[...document.getElementById('changes-Fracture-10-balanced_gan').cells]"
        ".map(cell => cell.childNodes[0]?.textContent ?? '')"
    )
    assert row[:3] == ["Fracture", "10\u00a0%", "balanced_gan"]
    for text in row:
        assert text in shown
    assert "AUROC against oversample: change" in shown
    page.screenshot(PICTURES / "report-overview.png", "#s-overview")
    page.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert page.run("document.getElementById('numbers').hidden")
    assert page.complaints == []


def test_other_arms_are_folded_away_until_they_are_asked_for(page):
    visible = (
        "[...document.querySelectorAll('#changes tbody tr')].filter(row => row.offsetHeight > 0)"
        ".map(row => row.cells[2].textContent)"
    )
    assert set(page.run(visible)) == {"none", "oversample", "balanced_gan"}
    page.run("document.querySelector('.unfold button').click()")
    assert set(page.run(visible)) == set(ARMS)


def test_a_link_to_a_folded_section_unfolds_it(page):
    folded = "document.querySelector('#s-calibration details').open"
    assert not page.run(folded)
    page.run("location.hash = '#s-calibration'; new Promise(done => setTimeout(done, 50))")
    assert page.run(folded)


@pytest.mark.parametrize("width", [1200, 800, 400])
def test_the_page_fits_its_window(page, width):
    page.size(width, 900, phone=width < 600)
    assert page.run("document.documentElement.scrollWidth") <= width
    page.screenshot(PICTURES / f"report-{width}.png")


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_told_from_its_ground_by_day_and_night(page, dark):
    page.dark(dark)
    selectors = (
        "body",
        ".fine",
        ".warning",
        ".answer",
        "td.better",
        "th",
        "td small",
        "figcaption",
        ".level2",
        ".level-2",
    )
    pairs = page.run(
        f"{list(selectors)}.map(selector => {{ let part = document.querySelector(selector);"
        " const ink = getComputedStyle(part).color; let paper = 'rgba(0, 0, 0, 0)';"
        " for (; paper === 'rgba(0, 0, 0, 0)'; part = part.parentElement)"
        " paper = getComputedStyle(part).backgroundColor; return [ink, paper]; })"
    )
    for selector, (ink, paper) in zip(selectors, pairs, strict=True):
        light, deep = sorted((luminance(ink), luminance(paper)), reverse=True)
        # WCAG 2.2, success criterion 1.4.3.
        assert (light + 0.05) / (deep + 0.05) >= 4.5, selector
    page.screenshot(PICTURES / f"report-{'dark' if dark else 'light'}.png", "header")


def test_the_page_prints_unfolded(page, tmp_path):
    page.pdf(PICTURES / "report.pdf")
    assert page.run("[...document.querySelectorAll('details')].every(part => part.open)")
    assert (PICTURES / "report.pdf").stat().st_size > 50_000


def test_without_a_browser_the_message_says_what_to_install(monkeypatch):
    import browser

    monkeypatch.setenv("RARECXR_BROWSER", "/nowhere/chromium")
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        browser.find_browser()


# What overlaps of all that stands by itself: neither within the other, and not clipped by a box
# that scrolls.
OVERLAPS = """(() => {
  const parts = [...document.querySelectorAll(
    "h1, h2, h3, h4, p, li, dl, summary, .scroll, figure, .strip, nav, input"
  )].filter(part => !part.parentElement.closest(".scroll") && part.getClientRects().length
    && !part.closest("details:not([open]) > :not(summary)"));
  const boxes = parts.map(part => part.getBoundingClientRect());
  const found = [];
  for (let i = 0; i < parts.length; i++) for (let j = i + 1; j < parts.length; j++) {
    if (parts[i].contains(parts[j]) || parts[j].contains(parts[i])) continue;
    const [a, b] = [boxes[i], boxes[j]];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 1) {
      found.push([i, j].map(k => parts[k].tagName + " " + parts[k].textContent.slice(0, 40)));
    }
  }
  return found;
})()"""


@pytest.mark.parametrize("width", WIDTHS)
def test_at_every_width_nothing_overlaps_or_reaches_beyond_the_edge(page, width):
    page.size(width, 900)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OVERLAPS) == []
    page.screenshot(PICTURES / f"report-{width}-header.png", "header")
    page.screenshot(PICTURES / f"report-{width}-overview.png", "#s-overview")
    page.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OVERLAPS) == []
    for name in ("images", "gans", "results"):
        page.screenshot(PICTURES / f"report-{width}-{name}.png", f"#s-{name}")


@pytest.mark.parametrize("width", WIDTHS)
def test_at_every_width_a_pressed_number_opens_its_cell(page, width):
    page.size(width, 900)
    assert page.run("document.querySelector('#numbers').hidden")
    button = "document.querySelector('#matrix tbody tr td:nth-of-type(2) button')"
    page.run(f"{button}.click()")
    text = page.run("document.querySelector('#numbers').innerText")
    shown = page.run(f"{button}.textContent.trim().split(' ')[0]")
    assert shown in text
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(OVERLAPS) == []
    page.screenshot(PICTURES / f"report-{width}-numbers.png", "#s-overview")


def test_a_slider_goes_through_a_training(page):
    page.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    shown = (
        "[...document.querySelector('.over-time').querySelectorAll('img')]"
        ".map(image => image.getClientRects().length > 0)"
    )
    assert page.run(shown) == [False, False, True]
    slider = "document.querySelector('.samples input[type=range]')"
    page.run(f"{slider}.value = 0; {slider}.dispatchEvent(new Event('input'))")
    assert page.run(shown) == [True, False, False]
    assert page.run(f"{slider}.getAttribute('aria-label')").startswith("Time of the training")


def test_pairs_and_synthetic_images_alone_are_shown(page):
    page.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    images = page.run("document.querySelector('#s-images').innerText")
    assert "the same latents without it" in images
    assert "alignment in classifier 0.62, different pairs 0.21" in images
    assert "paired_plain" not in images
    arms = page.run(
        "[...document.querySelectorAll('#alone tbody tr')].map(row => row.cells[2].textContent)"
    )
    assert set(arms) == {"standard"}
