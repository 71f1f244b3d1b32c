"""Draw the figures of docs/phantoms.md: every finding beside the same patient without it.

    python docs/make_phantom_sheet.py [FOLDER]

writes phantom_findings.jpg, phantom_samples.jpg and phantom_difficulty.jpg into FOLDER
(docs/figures).
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from rarecxr.phantoms.anatomy import sample_anatomy, sample_pose
from rarecxr.phantoms.dataset import NOTICE, grade_of
from rarecxr.phantoms.labels import make_rates, sample_studies
from rarecxr.phantoms.render import render
from rarecxr.phantoms.sites import sample_sites
from rarecxr.phantoms.support_devices import sample_devices
from rarecxr.study.findings import FINDINGS

TILE = 200
CAPTION = 18
# A patient for each finding in whom a frontal view shows it well.
PATIENTS = {
    "No Finding": 9,
    "Enlarged Cardiomediastinum": 20,
    "Cardiomegaly": 21,
    "Lung Opacity": 22,
    "Lung Lesion": 47,
    "Edema": 24,
    "Consolidation": 40,
    "Pneumonia": 26,
    "Atelectasis": 27,
    "Pneumothorax": 28,
    "Pleural Effusion": 62,
    "Pleural Other": 39,
    "Fracture": 37,
    "Support Devices": 50,
}


def patient(seed):
    """A patient's anatomy and sites."""
    rng = np.random.default_rng(seed)
    anatomy = sample_anatomy(rng, bool(rng.random() < 0.41), int(rng.integers(25, 85)))
    sites = sample_sites(rng, anatomy)
    sites["Support Devices"] = sample_devices(rng, anatomy)
    return anatomy, sites


def square_pose(seed, view):
    """A pose with a nearly square image and no black borders."""
    pose = sample_pose(np.random.default_rng(seed), view)
    return replace(pose, landscape=False, aspect=1.02, borders=(0, 0, 0, 0), arms=False)


def tile(picture):
    """The middle square of a picture, TILE pixels wide."""
    rows, columns = picture.shape
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return square.resize((TILE, TILE), Image.Resampling.LANCZOS)


def coarse(picture):
    """What a network of 64 pixels sees, enlarged again."""
    rows, columns = picture.shape
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return square.resize((64, 64), Image.Resampling.BOX).resize((TILE, TILE), 0)


def change(first, second):
    """Brighter where the finding absorbs more, darker where less."""
    difference = 128 + 1.5 * (second.astype(float) - first)
    return np.clip(difference, 0, 255).astype(np.uint8)


def findings_sheet():
    """Two columns of seven findings: without, with, difference, with at 64 pixels."""
    half = (len(FINDINGS) + 1) // 2
    width, height = 4 * TILE + 8, TILE + CAPTION
    sheet = Image.new("L", (2 * width, half * height + CAPTION), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column in range(2):
        for i, title in enumerate(("without", "with", "difference", "with, at 64 px")):
            draw.text((column * width + i * TILE + 4, 1), title, fill=0, font=font)
    for i, finding in enumerate(FINDINGS):
        left, top = (i // half) * width, CAPTION + (i % half) * height
        anatomy, sites = patient(PATIENTS[finding])
        pose = square_pose(1000 + i, "PA" if finding != "Support Devices" else "AP")
        plain = render(anatomy, sites, pose, {})
        if finding == "No Finding":
            shown = render(anatomy, sites, square_pose(500, "AP"), {})
            side = render(anatomy, sites, square_pose(501, "Lateral"), {})
            tiles = [tile(plain), tile(shown), tile(side), coarse(shown)]
            title = "No Finding: one patient in PA, AP, lateral, and AP at 64 px"
        else:
            shown = render(anatomy, sites, pose, {finding: 0.85})
            tiles = [tile(plain), tile(shown), tile(change(plain, shown)), coarse(shown)]
            title = finding
        draw.text((left + 4, top + TILE + 1), title, fill=0, font=font)
        for k, image in enumerate(tiles):
            sheet.paste(image, (left + k * TILE, top))
    return sheet


def samples_sheet():
    """Eighteen images as the data set has them, at difficulty 0.3."""
    columns, rates = 6, make_rates({}, 1.0, 0.5)
    sheet = Image.new("L", (columns * TILE, 3 * TILE), 255)
    for i in range(18):
        anatomy, sites = patient(600 + i)
        rng = np.random.default_rng(700 + i)
        study = sample_studies(rng, rates, 1)[0]
        grades = {name: grade_of(value, 0.3) for name, value in study.severity.items()}
        view = "Lateral" if i % 6 == 5 else "PA" if i % 4 == 1 else "AP"
        picture = render(anatomy, sites, sample_pose(rng, view), grades)
        sheet.paste(tile(picture), ((i % columns) * TILE, (i // columns) * TILE))
    return sheet


def difficulty_sheet():
    """The three rare findings of the default study at four difficulties."""
    names, levels = ("Lung Lesion", "Pleural Other", "Fracture"), (-1.0, 0.0, 0.5, 1.0)
    sheet = Image.new("L", (len(levels) * 2 * TILE, len(names) * (TILE + CAPTION)), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, finding in enumerate(names):
        anatomy, sites = patient(PATIENTS[finding])
        pose = square_pose(40 + row, "PA")
        for column, level in enumerate(levels):
            picture = render(anatomy, sites, pose, {finding: grade_of(0.5, level)})
            left, top = 2 * column * TILE, row * (TILE + CAPTION)
            sheet.paste(tile(picture), (left, top))
            sheet.paste(coarse(picture), (left + TILE, top))
            title = f"{finding}, difficulty {level:g}"
            draw.text((left + 4, top + TILE + 1), title, fill=0, font=font)
    return sheet


def main() -> None:
    """Write the three figures."""
    default = Path(__file__).resolve().parent / "figures"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in (
        ("phantom_findings", findings_sheet()),
        ("phantom_samples", samples_sheet()),
        ("phantom_difficulty", difficulty_sheet()),
    ):
        sheet.save(folder / f"{name}.jpg", quality=80, optimize=True, comment=NOTICE.encode())


if __name__ == "__main__":
    main()
