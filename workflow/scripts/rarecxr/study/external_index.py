"""The index of an external test set as its settings say, outside of the workflow."""

import os

from rarecxr.data.image_index import index_images
from rarecxr.data.section_keys import OWN
from rarecxr.study.configuration.external import ExternalSettings
from rarecxr.study.source import tables_of


def index_external(
    external: ExternalSettings,
    folder: str | os.PathLike,
    output: str | os.PathLike,
    section: str = OWN,
) -> None:
    """Write the images of an external test set that count, as rule index_external does.

    Args:
        external: the set.
        folder: that relative paths are below.
        output: Parquet file, see `rarecxr.data.image_index.index_images`.
        section: where the settings stand, for messages.

    Raises:
        OSError: a table cannot be read.
        ValueError: a table or a setting is wrong.
    """
    index_images(
        tables_of(external, str(folder)),
        external.views,
        output,
        format=external.format,
        columns=None if external.columns is None else external.columns.plain(),
        view_names=external.view_names,
        only=external.only,
        section=section,
    )
