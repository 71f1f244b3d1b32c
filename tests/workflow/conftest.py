"""One tiny study that all these tests share, and private copies of it."""

import pytest
from house import House, lock, make_real_images


@pytest.fixture
def house(tmp_path):
    """A fresh copy of the workflow; nothing has run."""
    return House.build(tmp_path / "house")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A copy in which the tiny study has run to its end; not to be changed.

    The workers of a parallel test run share it: the first one runs the study, and the
    others wait for it.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / "finished"
    with lock(shared / "finished.lock"):
        if not folder.exists():
            unfinished = House.build(shared / "unfinished")
            make_real_images(unfinished)
            output = unfinished.snakemake()
            (unfinished.folder / "output.txt").write_text(output, encoding="utf-8")
            unfinished.folder.rename(folder)
    return House(folder)


@pytest.fixture
def done(finished, tmp_path):
    """A private copy of the finished tiny study, to change."""
    return finished.copy(tmp_path / "done")
