"""How hard the phantoms' rare findings are to tell at 64 pixels, as JSON.

    python benchmarks/phantom_probe.py [--patients 1800] [--difficulty 0.3] [--threads 2]

A linear probe, so a lower bound for a network: responses of three difference-of-Gaussian
filters, pooled over cells of 4 x 4 pixels, 400 principal components, logistic regression.
Three quarters of the patients are fitted, AUROC is that of the others' frontal images;
uncertain labels count as positive, blanks as negative.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.configuration.phantom import PhantomSettings

SHARES = {"Lung Lesion": 0.08, "Pleural Other": 0.06, "Fracture": 0.08}


def square(path: Path) -> np.ndarray:
    """(64, 64) the middle of an image, area-reduced."""
    image = Image.open(path)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.float32) / 255


def pooled(images: np.ndarray) -> np.ndarray:
    """(N, features) of images (N, 64, 64)."""
    parts = [images[:, ::4, ::4].reshape(len(images), -1)]
    for fine, wide in ((0.0, 1.2), (0.8, 2.0), (1.5, 4.0)):
        first = gaussian_filter(images, (0, fine, fine)) if fine else images
        detail = first - gaussian_filter(images, (0, wide, wide))
        cells = detail.reshape(len(images), 16, 4, 16, 4)
        for value in (cells.max((2, 4)), cells.min((2, 4)), np.square(cells).mean((2, 4)) ** 0.5):
            parts.append(value.reshape(len(images), -1))
    return np.concatenate(parts, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1800)
    parser.add_argument("--difficulty", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_phantoms(
            root,
            PhantomSettings(
                patients=options.patients,
                expert_patients=1,
                resolution=96,
                difficulty=options.difficulty,
                prevalence=SHARES,
                studies_per_patient=2.9,
            ),
            options.threads,
        )
        table = pd.read_csv(root / "train.csv")
        table = table[table["Frontal/Lateral"] == "Frontal"]
        images = np.stack([square(root / path.split("/", 1)[1]) for path in table["Path"]])
    number = table["Path"].str.extract(r"patient(\d+)")[0].astype(int).to_numpy()
    held = number % 4 == 0
    features = make_pipeline(
        StandardScaler(), PCA(400, svd_solver="randomized", random_state=0)
    ).fit(pooled(images[~held]))
    seen, unseen = (
        features.transform(pooled(images[~held])),
        features.transform(pooled(images[held])),
    )
    result = {"difficulty": options.difficulty, "train_images": int((~held).sum())}
    for finding in SHARES:
        labels = table[finding].fillna(0).abs().to_numpy() == 1
        model = LogisticRegression(C=1e-3, max_iter=500).fit(seen, labels[~held])
        score = roc_auc_score(labels[held], model.decision_function(unseen))
        result[finding] = {
            "auroc": round(float(score), 3),
            "train_positives": int(labels[~held].sum()),
            "test_positives": int(labels[held].sum()),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
