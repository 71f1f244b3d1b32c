"""Where the workflow, its data and its results may lie, and how it may be started."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from house import House, lock, make_real_images
from lean import install_apptainer_stand_in, install_stand_in

SECOND = """
configfile: "study.yaml"


module rarecxr:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from rarecxr


rule second:
    default_target: True
    input:
        rules.all.input,
    output:
        "second.txt",
    shell:
        "cp results/tiny/report/summary.txt {output}"
"""


PREFIXED = SECOND.replace("    config:\n", '    prefix: "inner"\n    config:\n', 1)


def files(folder):
    """Path, size and time of every file."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_place_of_the_catalogue_leads_to_the_same_workflow(done):
    assert "Nothing to be done" in done.snakemake("-n", "--snakefile", "workflow/Snakefile")


def test_another_workflow_runs_the_study_as_a_module(done):
    (done.folder / "second.smk").write_text(SECOND, encoding="utf-8")
    # No setting, input or code is another one for it: only its own rule is left to run.
    text = done.snakemake("-n", "--snakefile", "second.smk", configfile=None)
    assert re.findall(r"^rule (\w+):", text, re.M) == ["second"]
    shutil.rmtree(done.folder / "results/tiny/report")
    done.snakemake("--snakefile", "second.smk", configfile=None)
    assert "filtered_gan" in (done.folder / "second.txt").read_text(encoding="utf-8")
    assert (done.folder / "results/tiny/report/index.html").exists()


@pytest.mark.parametrize("root", ["data/Phantom-v1.0-small", None])
def test_a_prefix_of_a_module_holds_for_all_that_the_study_makes_and_for_no_file_of_the_users(
    house, root
):
    make_real_images(house)
    house.configure(dataset__root=root, phantom={"patients": 40, "expert_patients": 4})
    (house.folder / "second.smk").write_text(PREFIXED, encoding="utf-8")
    until = ["--until", "label_images"]
    house.snakemake("--snakefile", "second.smk", *until, configfile=None)
    assert (house.folder / "inner/results/tiny/dataset/pixels_32.h5").exists()
    assert not (house.folder / "results").exists()
    assert (house.folder / "inner/resources").exists() is (root is None)


def test_a_checkout_that_is_not_written_to_has_its_results_elsewhere(tmp_path):
    house = House.build(tmp_path / "read only")
    elsewhere = tmp_path / "else where"
    make_real_images(House(elsewhere))
    house.configure(dataset__shards=2)
    for path in house.folder.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    before = files(house.folder)
    house.snakemake("--directory", str(elsewhere), "--until", "label_images")
    assert files(house.folder) == before
    made = elsewhere / "results/tiny/dataset"
    assert {path.name for path in made.iterdir()} >= {"pixels_32.h5", "labels.parquet"}
    # What the shards were is in the cache.
    assert not list(made.glob("pixels_32/*.h5"))
    text = house.snakemake("-n", "--directory", str(elsewhere), "--until", "cache_pixels")
    assert re.search(r"^total +0$", text, re.M)


@pytest.mark.long
def test_two_studies_of_one_checkout_run_side_by_side(house):
    make_real_images(house)
    shutil.copy(house.folder / "study.yaml", house.folder / "other.yaml")
    house.edit("other.yaml", "study: tiny", "study: other")
    house.edit("other.yaml", "resolution: 32\n  fractions", "resolution: 16\n  fractions")
    house.edit("other.yaml", "resolution: 16\n  fmap_base", "resolution: 8\n  fmap_base")
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", name),
                *("--until", "label_images"),
            ],
            cwd=house.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            encoding="utf-8",
        )
        for name in ("study.yaml", "other.yaml")
    ]
    for process in started:
        output = process.communicate()[0]
        assert process.returncode == 0, output
    assert (house.folder / "results/tiny/dataset/pixels_32.h5").exists()
    assert (house.folder / "results/other/dataset/pixels_16.h5").exists()


def test_environments_in_a_shared_prefix_serve_two_checkouts(tmp_path, monkeypatch):
    """With a stand-in for the conda command, which cannot be had everywhere."""
    home, prefix = tmp_path / "conda", tmp_path / "shared envs"
    install_stand_in(home)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    for name in ("one", "two words"):
        house = House.build(tmp_path / name)
        make_real_images(house)
        conda = ["--use-conda", "--conda-prefix", str(prefix)]
        house.snakemake(*conda, "--until", "label_images")
        assert (house.folder / "results/tiny/dataset/pixels_32.h5").exists()
        # The rules ran with the Python of the environment.
        assert set((home / "runs.txt").read_text(encoding="utf-8").splitlines()) <= set(
            map(str, prefix.iterdir())
        )
        (home / "runs.txt").unlink()
    made = [
        Path(name).name for name in (home / "made.txt").read_text(encoding="utf-8").splitlines()
    ]
    assert len(made) == len(set(made)) >= 1


def test_one_image_serves_all_rules(house, tmp_path, monkeypatch):
    """With a stand-in for the apptainer command, which cannot be had everywhere."""
    home, image = tmp_path / "apptainer", tmp_path / "rarecxr.sif"
    install_apptainer_stand_in(home)
    image.touch()
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    make_real_images(house)
    house.configure(container=str(image))
    house.snakemake(
        *("--software-deployment-method", "apptainer", "--apptainer-args=--nv"),
        *("--until", "label_images", "split_patients"),
    )
    runs = [
        run
        for run in (home / "runs.txt").read_text(encoding="utf-8").splitlines()
        if "scripts/tmp" in run
    ]
    # The index, the split, and the images, which the labels follow.
    assert len(runs) == 5
    for run in runs:
        assert str(image) in run
        assert "--nv" in run


def test_a_training_on_one_machine_takes_a_gpu_that_is_free(done, tmp_path, monkeypatch):
    """Two GPUs by name, of which there need be none: torch falls back to the CPU."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    locks = tmp_path / f"rarecxr-gpus-{os.getuid()}"
    locks.mkdir()
    done.configure(gan__device="auto")
    place = "base/50/draw0/negatives"
    with lock(locks / "0.lock"):
        done.snakemake(
            f"results/tiny/gan/{place}/generator.pt",
            *("--workflow-profile", "profiles/local", "--resources", "gpu=2"),
            *("--forcerun", "train_gan"),
        )
    log = (done.folder / f"results/tiny/logs/train_gan/{place}.log").read_text(encoding="utf-8")
    assert "uses GPU 1" in log
