"""generator.pt: plain, the same for the same networks, and never unpickled."""

import os
import pickle

import pytest
import torch

from rarecxr.core.files import digest_file
from rarecxr.gan.checkpoint import networks_from, read_checkpoint, write_checkpoint
from rarecxr.gan.networks import build_networks

SETTINGS = {
    "resolution": 8,
    "latent_size": 4,
    "fmap_base": 16,
    "fmap_max": 4,
    "group_size": 4,
    "label_size": 2,
}


@pytest.fixture
def networks():
    return build_networks(SETTINGS, label_size=2, seed=3)


def test_networks_come_back_as_they_were(tmp_path, networks):
    channels_last = [network.to(memory_format=torch.channels_last) for network in networks]
    write_checkpoint(tmp_path / "generator.pt", *channels_last, SETTINGS, {"seed": 3})
    content = read_checkpoint(tmp_path / "generator.pt")
    for found, wanted in zip(networks_from(content), networks, strict=True):
        for name, tensor in wanted.state_dict().items():
            assert torch.equal(found.state_dict()[name], tensor)
    assert content["provenance"] == {"seed": 3}


def test_the_bytes_do_not_depend_on_the_name_or_the_layout_in_memory(tmp_path, networks):
    write_checkpoint(tmp_path / "a.pt", *networks, SETTINGS, {})
    for network in networks:
        network.to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path / "other.pt", *networks, SETTINGS, {})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    torch.save({"format": 1, "generator": Harmful(tmp_path / "done")}, tmp_path / "generator.pt")
    with pytest.raises(
        ValueError, match=r"(generator|plain)\.pt: not a generator file.*run the workflow again"
    ):
        read_checkpoint(tmp_path / "generator.pt")
    assert not (tmp_path / "done").exists()
    with open(tmp_path / "plain.pt", "wb") as file:
        pickle.dump(Harmful(tmp_path / "done"), file, protocol=2)
    with pytest.raises(
        ValueError, match=r"(generator|plain)\.pt: not a generator file.*run the workflow again"
    ):
        read_checkpoint(tmp_path / "plain.pt")
    assert not (tmp_path / "done").exists()


def test_another_format_and_a_missing_file_are_named(tmp_path):
    torch.save({"format": 7}, tmp_path / "generator.pt")
    with pytest.raises(ValueError, match="not a generator file of format 1"):
        read_checkpoint(tmp_path / "generator.pt")
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nowhere.pt")


def test_damaged_files_name_themselves_and_what_to_do(tmp_path, networks):
    path = tmp_path / "generator.pt"
    write_checkpoint(path, *networks, SETTINGS, {})
    whole = path.read_bytes()
    for damaged in (b"", b"{}", whole[: len(whole) // 2], whole[len(whole) // 2 :], b"\0" * 300):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"generator\.pt: .*run the workflow again") as error:
            read_checkpoint(path)
        assert "weights_only" not in str(error.value)
    digest_file(path).unlink()
    torch.save({"format": 1, "generator": {}}, path)
    with pytest.raises(ValueError, match="without critic, provenance, settings"):
        read_checkpoint(path)


def test_weights_of_another_network_are_refused(tmp_path, networks):
    write_checkpoint(tmp_path / "generator.pt", *networks, SETTINGS | {"fmap_max": 8}, {})
    with pytest.raises(ValueError, match="weights do not fit its settings"):
        networks_from(read_checkpoint(tmp_path / "generator.pt"))
