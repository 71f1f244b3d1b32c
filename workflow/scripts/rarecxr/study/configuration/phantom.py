"""The embedded data set."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rarecxr.phantoms.prevalence import DRAWN, label_shares
from rarecxr.study.values import Section, Seed, Share

Times = Annotated[float, Field(ge=0, le=2)]


class PhantomSettings(Section):
    """The embedded data set: digital phantoms in CheXpert's layout (docs/phantoms.md).

    Used where dataset.root is null; not clinical data.
    """

    patients: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    """Patients in train.csv; about 3.4 images each at 2.9 studies."""
    expert_patients: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Patients in valid.csv, one study each, without blanks and uncertain labels."""
    resolution: Annotated[int, Field(ge=32, le=2048)] = 64
    """Pixels on an image's shorter side.

    CheXpert-v1.0-small has 320. Twice what the networks see is plenty, and drawing is quicker.
    """
    difficulty: Annotated[float, Field(ge=-1, le=1)] = -1.0
    """How hard findings are to see: from -1, all as plain as they get, to 1, barely visible.

    At 0 severe cases are plain to see and mild ones are not.
    """
    prevalence: dict[Literal[("scale", *DRAWN)], Times] = {  # type: ignore[valid-type]
        "scale": 0.6,
        "Lung Lesion": 0.2,
        "Pleural Other": 0.2,
    }
    """Share of rows labelled 1, by finding.

    `scale` multiplies CheXpert's share of every finding that is not given here. (CheXpert: Lung
    Lesion 0.0411, Pleural Other 0.0158, Fracture 0.0405.)
    """
    uncertain: Times = 1.0
    """Multiplies CheXpert's shares of uncertain labels (-1)."""
    uncertain_present: Share = 0.5
    """Share of the uncertain cases that show the finding, faintly."""
    studies_per_patient: Annotated[float, Field(ge=1, le=8)] = 1.0
    """Mean number of studies of a patient in train.csv (CheXpert: 2.9)."""
    lateral_share: Annotated[float, Field(ge=0, le=0.4)] = 0.05
    """Share of images that are lateral views (CheXpert: 0.145)."""
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] = 90
    """Quality of the JPEG files."""
    seed: Seed = 0
    """Seed of everything that is drawn at random."""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Findings that would be labelled in more rows than there are."""
        for finding, (positive, uncertain) in label_shares(self.prevalence, self.uncertain).items():
            if positive + uncertain > 0.98:
                key = f".{finding}" if finding in self.prevalence else ""
                yield (
                    f"prevalence{key}",
                    (
                        f"{finding} would be positive in {positive:.3f} and uncertain in "
                        f"{uncertain:.3f} of the rows; together they may be at most 0.98: lower "
                        "scale, the finding's share or phantom.uncertain"
                    ),
                )
