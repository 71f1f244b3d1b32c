"""Paths of everything: the one place that names files and folders of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rarecxr.study.findings import ALL, NEGATIVES, slug

# A fraction and draw, what is made for a finding of one, and a classifier run on one.
_CELL = "{fraction}/draw{draw}"
_FINDING = f"{{recipe}}/{_CELL}/{{finding}}"
_RUN = f"{{arm}}/{_CELL}/seed{{seed}}"


@dataclass(frozen=True)
class Paths:
    """The paths of one study, as patterns with wildcards and filled in.

    Patterns, with their wildcards: phantom, dataset, report, logs, benchmarks, precision,
    images_state; external (external, the name of an external test set); maps (finding); features
    and filter_leak (fraction, draw); gan and bank (recipe, fraction, draw, finding); unlabelled
    (seed); run (arm, fraction, draw, seed); and with the same wildcards features_state, gan_state,
    unlabelled_state and run_state, folders of resume files, which lie outside all outputs.

    Attributes:
        study: name of the study.
    """

    study: str

    @property
    def results(self) -> str:
        """Folder of everything that the study makes."""
        return f"results/{self.study}"

    def patterns(self) -> dict[str, str]:
        """Every pattern by name."""
        results = self.results
        return {
            "phantom": f"resources/phantom/{self.study}/Phantom-v1.0-small",
            "dataset": f"{results}/dataset",
            "external": f"{results}/external/{{external}}",
            "features": f"{results}/features/{_CELL}",
            "gan": f"{results}/gan/{_FINDING}",
            "bank": f"{results}/bank/{_FINDING}",
            "filter_leak": f"{results}/bank/filter_leak/{_CELL}.json",
            "unlabelled": f"{results}/unlabelled/seed{{seed}}",
            "run": f"{results}/classifier/{_RUN}",
            "maps": f"{results}/maps/{{finding}}.npz",
            "report": f"{results}/report",
            "logs": f"{results}/logs",
            "benchmarks": f"{results}/benchmarks",
            "precision": f"{results}/precision",
            "images_state": f"{results}/state/images",
            "features_state": f"{results}/state/features/{_CELL}",
            "gan_state": f"{results}/state/gan/{_FINDING}",
            "unlabelled_state": f"{results}/state/unlabelled/seed{{seed}}",
            "run_state": f"{results}/state/classifier/{_RUN}",
        }

    def pattern(self, name: str, file: str = "") -> str:
        """One pattern, with what comes after it: a file, or an ending (`.h5`, `_quality.json`)."""
        joined = "/" if file and file[0] not in "._" else ""
        return f"{self.patterns()[name]}{joined}{file}"

    def fill(self, name: str, values: Mapping[str, Any], file: str = "", **more: Any) -> str:
        """One path.

        Args:
            name: of the pattern.
            values: of its wildcards; others are left out. A finding by its name or its name in
                paths, None for the negatives.
            file: see `pattern`.
            more: wildcards that take the place of `values`.
        """
        filled = {**values, **more}
        if "finding" in filled:
            filled["finding"] = in_paths(filled["finding"])
        return self.pattern(name, file.replace("{", "{{").replace("}", "}}")).format(**filled)


def in_paths(finding: str | None) -> str:
    """A finding's name in paths; that of the negatives for None."""
    if finding in (None, NEGATIVES):
        return NEGATIVES
    return ALL if finding == ALL else slug(finding)
