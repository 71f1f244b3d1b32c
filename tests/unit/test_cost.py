"""What a study will cost: the laws, what they are fitted to, and what they refuse to say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from rarecxr.core.hdf5 import create_hdf5
from rarecxr.cost.benchmarks import Measured, last_look, read_benchmarks
from rarecxr.cost.counts import _phantom_tables, counts_of_files, counts_of_numbers
from rarecxr.cost.disk import OTHERS, foreseen
from rarecxr.cost.estimate import estimate, table
from rarecxr.cost.jobs import Job, Part, gan_job
from rarecxr.cost.law import NotForeseen, fit_laws
from rarecxr.cost.measured import Sample, Study, read_study
from rarecxr.cost.networks import classifier_size, gan_size
from rarecxr.cost.planned import planned_jobs
from rarecxr.phantoms.dataset import make_phantoms
from rarecxr.study.check import check
from rarecxr.study.configuration.gan import GanSettings
from rarecxr.study.configuration.phantom import PhantomSettings
from rarecxr.study.plan import Plan

ROOT = Path(__file__).parents[2]
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
# As Snakemake wrote them for jobs of the demo, each of which kept one core busy.
RECORDED = {
    "train_gan/plain/100/draw0/lung_lesion": (
        "39.02\t0:00:39\t883.20\t3884.54\t492.20\t676.54\t13.60\t0.14\t37.60\t15.11"
    ),
    "train_gan/base/100/draw0/negatives": (
        "85.64\t0:01:25\t904.02\t3929.98\t505.27\t691.84\t1.01\t3.92\t86.68\t74.72"
    ),
    "train_classifier/gan/20/draw0/seed0": (
        "12.92\t0:00:12\t811.93\t4858.29\t723.25\t762.40\t0.47\t2.59\t88.62\t11.93"
    ),
    "cache_pixels": "0.31\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA",
}


def record(folder, name):
    path = folder / "benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + RECORDED[name] + "\n", encoding="utf-8")


def sample(seconds, *parts, rule="make_bank", gpu=False, held=0.0, memory=1e9, rates=None):
    job = Job(rule, parts, held)
    return Sample(job, Measured(rule, "", seconds, 0.5, memory), gpu, rates or {})


def configuration(**sections):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    for name, section in sections.items():
        config[name] = {**config[name], **section} if isinstance(section, dict) else section
    return check(config)


# Benchmark files


@pytest.mark.parametrize(
    ("seconds", "looked"), [(0.2, 0.5), (12.92, 12.92), (39, 15), (45.2, 45), (85.64, 75)]
)
def test_what_a_job_did_after_the_last_look_is_not_in_its_processor_time(seconds, looked):
    assert last_look(seconds) == looked


def test_recorded_jobs_of_one_thread_are_seen_to_keep_one_core_busy(tmp_path):
    for name in RECORDED:
        record(tmp_path, name)
    found = {f"{job.rule}/{job.place}".strip("/"): job for job in read_benchmarks(tmp_path)}
    assert set(found) == set(RECORDED)
    for name, job in found.items():
        if name == "cache_pixels":
            assert job.load is None
            assert job.memory is None
        else:
            assert job.load == pytest.approx(1, abs=0.1), name
    assert found["train_gan/base/100/draw0/negatives"].memory == pytest.approx(904.02 * 2**20)


def test_a_folder_without_benchmark_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no benchmark files"):
        read_benchmarks(tmp_path)


def test_a_file_that_is_no_benchmark_is_named(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/evaluate.tsv").write_text("a\tb\n1\t2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"evaluate\.tsv: is no benchmark file"):
        read_benchmarks(tmp_path)


# Laws


def test_start_and_time_of_a_unit_are_told_apart_and_foresee_a_larger_job():
    law = fit_laws([sample(5 + 0.02 * n, Part("images", n)) for n in (100, 200, 400)])["make_bank"]
    seconds, notes = law.seconds(Job("make_bank", (Part("images", 3200),)))
    assert seconds == pytest.approx(69)
    assert notes == []


def test_jobs_of_one_size_start_as_the_quickest_of_their_kind():
    samples = [sample(8.0, Part("images", 100)), sample(8.0, Part("images", 110))]
    samples.append(sample(3.0, Part("runs", 1), rule="check_leakage"))
    samples.append(sample(0.5, Part("rows", 1), rule="label_images"))
    law = fit_laws(samples)["make_bank"]
    assert law.start == 3.0
    seconds, _ = law.seconds(Job("make_bank", (Part("images", 1050),)))
    assert seconds == pytest.approx(53, rel=0.02)


def test_another_resolution_of_one_network_takes_as_much_longer_as_it_has_operations():
    law = fit_laws(
        [sample(2 + n, Part("32 px", n, "resnet", 10.0), rule="train_classifier") for n in (1, 9)]
    )["train_classifier"]
    larger = Job("train_classifier", (Part("64 px", 5, "resnet", 40.0),))
    seconds, notes = law.seconds(larger)
    assert seconds == pytest.approx(2 + 5 * 4)
    assert notes == ["64 px: from 32 px, times 4 for the operations"]


def test_another_network_is_refused_and_both_are_named():
    law = fit_laws([sample(2.0, Part("32 px", 1, "resnet", 10.0), rule="train_classifier")])
    job = Job("train_classifier", (Part("32 px", 1, "densenet", 20.0),))
    with pytest.raises(NotForeseen, match="densenet was not measured, only resnet"):
        law["train_classifier"].seconds(job)


def test_a_log_tells_resolutions_of_a_gan_apart_and_what_it_leaves_out_grows_with_the_work():
    parts = (Part("8 px", 4, "r1", 1.0), Part("16 px", 6, "r1", 4.0))
    rates = {("r1", "8 px"): 1.0, ("r1", "16 px"): 2.0}
    # 16 s by the log, 2 s of start, and 4 s of measuring the generator.
    samples = [sample(22.0, *parts, rule="train_gan", rates=rates)]
    samples.append(sample(2.0, Part("runs", 1), rule="check_leakage"))
    law = fit_laws(samples)["train_gan"]
    assert law.rates == pytest.approx({("r1", "8 px"): 1.25, ("r1", "16 px"): 2.5})
    assert law.seconds(Job("train_gan", (Part("16 px", 80, "r1", 4.0),)))[0] == 202


def test_memory_is_what_was_measured_and_what_a_job_holds_beyond_it():
    law = fit_laws([sample(1.0, Part("images", 1), held=1e8, memory=9e8)])["make_bank"]
    assert law.peak(Job("make_bank", held=3e8)) == pytest.approx(11e8)
    assert law.peak(Job("make_bank", held=0)) == 9e8


# Sizes of networks


def test_sizes_of_published_networks():
    densenet = classifier_size("densenet121", 224)
    # torchvision gives 7,978,856 parameters with 1000 outputs, and 2.83 billion multiplications.
    assert densenet.parameters == 7_978_856 - (1000 - 14) * 1025
    assert densenet.operations == pytest.approx(2 * 2.83e9, rel=0.01)
    published = GanSettings(
        resolution=256, start_resolution=4, latent_size=512, fmap_base=8192, fmap_max=512
    )
    small, large = gan_size(published, 128), gan_size(published, 256)
    assert small.parameters == large.parameters
    assert 1.1 < large.operations / small.operations < 2
    assert large.generator_operations < large.operations


# A planned study


def test_work_of_a_planned_study_counted_by_hand():
    plan = Plan(
        configuration(
            dataset={
                "fractions": [50],
                "test_percent": 20,
                "validation_percent": 10,
                "reserve_percent": 0,
            },
            gan={
                "batch_size": 32,
                "stabilise_kimg": 5,
                "fade_kimg": 3,
                "final_kimg": 20,
                "finetune_kimg": 12,
            },
            bank={"ratio": 1},
            classifier={"arms": ["none", "oversample", "gan"], "epochs": 2, "batch_size": 10},
            draws=2,
        )
    )
    counts = counts_of_numbers(plan, 1000, {"Lung Lesion": 100, "Pleural Other": 200})
    # 70 % of the patients are trained on, half of them in the fraction.
    assert counts.cells["50", 1] == pytest.approx(
        {"Lung Lesion": 35, "Pleural Other": 70, "negatives": 245, "all": 350}
    )
    jobs = list(planned_jobs(plan, counts, {"train_gan": "bf16", "train_classifier": "bf16"}))
    units = {}
    for job in jobs:
        for part in job.parts:
            units[job.rule, part.kind] = units.get((job.rule, part.kind), 0) + part.units
    # The largest arm of the section `arms` adds positives and negatives: 350 + 2 * 105.
    shown, predicted = 2 * 560, 2 * 100 + 300
    assert units["train_classifier", "images of 32 px to small_resnet10"] == pytest.approx(
        3 * 2 * (shown + predicted / 3)
    )
    # Base: 5 at 8 px, 3 + 5 at 16, 3 + 20 at 32; two GANs of findings: 12 each; two draws.
    assert units["train_gan", "kimg at 8 px, 256/32 maps, batch 32"] == 10
    assert units["train_gan", "kimg at 32 px, 256/32 maps, batch 32"] == 2 * (23 + 24)
    assert units["make_bank", "images of 32 px, 256/32 maps"] == 2 * 105
    assert units["make_training_set", "pixels"] == pytest.approx(2 * (245 + 105) * 32**2)
    assert sum(job.rule == "train_gan" for job in jobs) == 6


def test_numbers_that_lack_a_finding_or_are_too_many_are_refused():
    plan = Plan(configuration())
    with pytest.raises(ValueError, match="lacks Pleural Other"):
        counts_of_numbers(plan, 1000, {"Lung Lesion": 100})
    with pytest.raises(ValueError, match="not fewer than the 1000"):
        counts_of_numbers(plan, 1000, {"Lung Lesion": 900, "Pleural Other": 100})


def test_phantoms_are_counted_without_being_drawn(tmp_path):
    settings = PhantomSettings(patients=40, expert_patients=5, resolution=32, lateral_share=0)
    make_phantoms(tmp_path / "drawn", settings)
    (tmp_path / "counted").mkdir()
    _phantom_tables(settings, tmp_path / "counted")
    for name in ("train.csv", "valid.csv"):
        drawn, counted = (
            pd.read_csv(tmp_path / folder / name).drop_duplicates("Path").set_index("Path")
            for folder in ("drawn", "counted")
        )
        both = drawn.index.intersection(counted.index)
        assert len(both) > 0.9 * max(len(drawn), len(counted))
        pd.testing.assert_frame_equal(drawn.loc[both].iloc[:, 4:], counted.loc[both].iloc[:, 4:])


def test_a_data_set_that_is_not_there_is_named_with_what_to_give_instead(tmp_path):
    plan = Plan(configuration(dataset={"root": "nowhere"}))
    with pytest.raises(FileNotFoundError, match=r"nowhere/train\.csv.*--images"):
        counts_of_files(plan, tmp_path)


# A finished study


@pytest.fixture
def finished(tmp_path):
    """A GAN and a pixel cache, as a study leaves them."""
    name = "base/100/draw0/negatives"
    record(tmp_path, f"train_gan/{name}")
    record(tmp_path, "cache_pixels")
    gan = tmp_path / "gan" / name
    gan.mkdir(parents=True)
    about = {
        "training_images": 120,
        "settings": {**GanSettings().with_effect(), "precision": "bf16", "recipe": "base"},
    }
    (gan / "generator.json").write_text(json.dumps(about), encoding="utf-8")
    (gan / "generator.pt").write_bytes(bytes(5000))
    (gan / "training.csv").write_text(
        "kimg,resolution,s_per_kimg\n4,8,0.85\n8,16,1.5\n12,16,1.7\n16,32,2.4\n", encoding="utf-8"
    )
    (tmp_path / "dataset").mkdir()
    with create_hdf5(tmp_path / "dataset/pixels_32.h5") as file:
        file["images"] = np.zeros((150, 32, 32), np.uint8)
    log = tmp_path / "logs/train_gan" / f"{name}.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-11-27 22:19:33,555 INFO rarecxr.core.devices: device: CPU (AMD EPYC), PyTorch 2.11\n",
        encoding="utf-8",
    )
    return tmp_path


def test_a_finished_study_says_what_its_jobs_did_and_on_what(finished):
    study = read_study(finished)
    assert study.device == "CPU (AMD EPYC)"
    assert study.precision == {"train_gan": "bf16"}
    (gan,) = (one for one in study.samples if one.job.rule == "train_gan")
    assert [part.units for part in gan.job.parts] == [4, 8, 4]
    assert list(gan.rates.values()) == [0.85, 1.6, 2.4]
    assert not gan.gpu
    expected = gan_job(GanSettings(), "bf16", {8: 4.0, 16: 8.0, 32: 4.0}, 120)
    assert gan.job == expected


def test_a_gpu_is_known_by_the_log(finished):
    (log,) = finished.rglob("*.log")
    log.write_text(
        "… INFO rarecxr.core.devices: device: NVIDIA H100, compute capability 9.0, PyTorch 2.11\n",
        encoding="utf-8",
    )
    study = read_study(finished)
    assert study.device == "NVIDIA H100"
    assert [one.gpu for one in study.samples if one.job.rule == "train_gan"] == [True]


def test_what_a_job_wrote_and_is_gone_is_named(finished):
    (finished / "gan/base/100/draw0/negatives/generator.json").unlink()
    with pytest.raises(ValueError, match="train_gan has a benchmark file, but .*generator.json"):
        read_study(finished)


def test_room_is_that_of_the_content_and_of_what_comes_with_each_image(finished):
    measured = [one.job for one in read_study(finished).samples]
    cache = (finished / "dataset/pixels_32.h5").stat().st_size
    planned = [
        Job("cache_pixels", files={"pixel cache": (300 * 64**2, 300)}),
        Job("train_gan", files={"GANs": (1e6, 2)}),
        Job("make_bank", files={"banks": (100, 1)}),
    ]
    found = foreseen(finished, measured, planned)
    # The images of the fixture are written as they are.
    assert cache > 150 * 32**2
    assert found["pixel cache"] == pytest.approx(300 * 64**2 + 2 * (cache - 150 * 32**2))
    # Its generator is smaller than the weights would be: as if it were compressed.
    weights = next(job.files["GANs"][0] for job in measured if job.rule == "train_gan")
    assert found["GANs"] == pytest.approx(1e6 * 5000 / weights)
    assert found["banks"] is None
    assert found[OTHERS] > 0


# The table


def study_of(samples, tmp_path):
    (tmp_path / "report").mkdir(exist_ok=True)
    return Study(tmp_path, samples, "CPU (AMD EPYC)", {})


def test_hours_of_processors_and_of_a_gpu(tmp_path):
    on_gpu = [sample(3600 * n, Part("images", n), gpu=True) for n in (1, 2)]
    jobs = [Job("make_bank", (Part("images", 10),))] * 2
    (row,) = estimate(configuration(), jobs, study_of(on_gpu, tmp_path)).rows
    assert row.hours == pytest.approx(20)
    assert row.gpu_hours == pytest.approx(20)
    assert row.processor_hours == pytest.approx(10)
    assert row.jobs == 2


def test_another_device_and_a_rule_that_did_not_run_are_said_and_sums_are_at_least(tmp_path):
    samples = [sample(3.0, Part("images", 1)), sample(9.0, Part("images", 3))]
    samples.append(sample(1.0, Part("rows", 5), rule="label_images"))
    jobs = [
        Job("make_bank", (Part("images", 1),)),
        Job("evaluate", (Part("runs", 1),)),
        Job("label_images", (Part("rows", 5),)),
    ]
    found = estimate(configuration(bank={"device": "cuda"}), jobs, study_of(samples, tmp_path))
    bank, evaluate, labels = found.rows
    assert bank.hours is None
    assert "bank.device is cuda" in bank.notes[0]
    assert evaluate.hours is None
    assert "evaluate did not run" in evaluate.notes[0]
    assert labels.hours == pytest.approx(1 / 3600)
    text = table(found)
    assert "together: at least" in text
    assert "evaluate did not run in the small study" in text


def test_the_command_names_what_is_missing(tmp_path):
    command = [sys.executable, ROOT / "workflow/scripts/cost.py", "--from", tmp_path / "nothing"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert done.stderr.startswith("cost: ")
    assert "there are no benchmark files" in done.stderr
