"""From a data set in CheXpert's layout to images of one finding, by the stages of a study."""

from dataclasses import dataclass
from pathlib import Path

from rarecxr.classifier.feature_network import train_features
from rarecxr.classifier.run import Inputs, Outputs
from rarecxr.data.image_index import index_images
from rarecxr.data.labels import label_images
from rarecxr.data.pixel_cache import CacheFiles, cache_pixels, decode_images
from rarecxr.data.split import draw_patients, split_patients
from rarecxr.data.training_set import make_training_set
from rarecxr.data.validation_set import make_validation_set
from rarecxr.study.configuration.classifier import FeatureSettings
from rarecxr.study.configuration.image_sets import TrainingSetSettings, ValidationSetSettings
from rarecxr.study.configuration.pixels import PixelSettings
from rarecxr.study.findings import FINDINGS
from rarecxr.study.place import Place


@dataclass(frozen=True)
class Stages:
    """The stages of a study of one finding and all training patients.

    Attributes:
        study: its name.
        work: folder of all its files.
        finding: the finding.
        side: of the images, in pixels.
        threads: of the stages that use several.
    """

    study: str
    work: Path
    finding: str
    side: int
    threads: int

    def read(self, root, test_percent, validation_percent, min_positive_patients):
        """Labels, split and pixels of a data set."""
        work, targets = self.work, [self.finding]
        images, shard, left_out = work / "images.parquet", work / "shard.h5", work / "shard.csv"
        index_images({"train_csv": Path(root) / "train.csv"}, ["AP", "PA"], images)
        label_images(images, {"default": "ones"}, "zeros", work / "labels.parquet")
        split = work / "split.csv"
        split_patients(images, test_percent, validation_percent, targets, 1, split)
        draw = work / "draw0.csv"
        draw_patients(images, split, targets, min_positive_patients, 1, 0, draw)
        settings = PixelSettings(resolution=self.side)
        decode_images(images, root, shard, left_out, settings, self.threads)
        files = CacheFiles(
            pixels=work / "pixels.h5",
            rejected=work / "rejected.csv",
            readable=work / "readable.parquet",
            notes=work / "notes.csv",
        )
        cache_pixels(images, [shard], [left_out], root, files, settings, self.study)

    def training_set(self, name, finding):
        """The training images of the finding, or of `negatives`, as `{name}.h5`."""
        make_training_set(
            pixels=self.work / "pixels.h5",
            labels=self.work / "labels.parquet",
            split=self.work / "split.csv",
            draw_csv=self.work / "draw0.csv",
            output=self.work / f"{name}.h5",
            place=Place(self.study, finding, "plain", 100.0, 0),
            settings=TrainingSetSettings(
                target_findings=[self.finding], resolution=self.side, findings=list(FINDINGS)
            ),
        )

    def validation_set(self, name, finding, split="split.csv"):
        """Those of the validation patients of a split."""
        make_validation_set(
            pixels=self.work / "pixels.h5",
            labels=self.work / "labels.parquet",
            split=self.work / split,
            output=self.work / f"{name}.h5",
            finding=finding,
            settings=ValidationSetSettings(target_findings=[self.finding], resolution=self.side),
            study=self.study,
        )

    def features(self, epochs, device, threads):
        """The network in whose features generated images are measured, features.pt."""
        train_features(
            inputs=Inputs(
                pixels=self.work / "pixels.h5",
                labels=self.work / "labels.parquet",
                split=self.work / "split.csv",
                draw_csv=self.work / "draw0.csv",
            ),
            outputs=Outputs(model=self.work / "features.pt", history=self.work / "features.csv"),
            state=self.work / "state_features",
            study=self.study,
            fraction=100.0,
            draw=0,
            findings=FINDINGS,
            target_findings=[self.finding],
            settings=FeatureSettings(
                architecture="resnet18",
                resolution=self.side,
                epochs=epochs,
                epoch_images="real",
                device=device,
                threads=threads,
            ),
        )
