"""Do a study's banks show their findings? Judged by the networks of the section `features`.

    python benchmarks/shown.py results/evidence

For each finding and fraction: the AUROC of the score that the largest fraction's network gives the
finding, the bank's images against the bank of negatives; and, of real validation images with the
finding against those without any, what to hold it against. Prints a table.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow" / "scripts"))

from rarecxr.classifier.prediction import predict, read_model
from rarecxr.study.findings import NEGATIVES, slug


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.set_num_threads(2)
    study = Path(sys.argv[1])
    fractions = sorted((folder.name for folder in (study / "features").iterdir()), key=float)
    model = study / "features" / fractions[-1] / "draw0/model.pt"
    findings = read_model(model)[1]["findings"]
    scores = {}

    def score(path):
        if path not in scores:
            with h5py.File(path) as file:
                scores[path] = predict(model, file["images"][:], "cpu")
        return scores[path]

    def auroc(positives, negatives, column):
        both = np.r_[score(positives)[:, column], score(negatives)[:, column]]
        labels = np.r_[np.ones(len(score(positives))), np.zeros(len(score(negatives)))]
        return roc_auc_score(labels, both)

    recipes = sorted(folder.name for folder in (study / "bank").iterdir() if folder.name != "base")
    for column, finding in enumerate(findings):
        real = study / f"dataset/validation/{slug(finding)}.h5"
        if not real.exists():
            continue
        without = study / f"dataset/validation/{NEGATIVES}.h5"
        print(f"{finding}: real images {auroc(real, without, column):.3f}")
        for fraction in fractions:
            negatives = study / f"bank/base/{fraction}/draw0/{NEGATIVES}.h5"
            banks = {
                recipe: study / f"bank/{recipe}/{fraction}/draw0/{slug(finding)}.h5"
                for recipe in recipes
            }
            found = [
                f"{recipe} {auroc(path, negatives, column):.3f}"
                for recipe, path in banks.items()
                if path.exists()
            ]
            print(f"  {fraction} %: {', '.join(found)}")


if __name__ == "__main__":
    main()
