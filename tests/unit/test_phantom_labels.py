import numpy as np
import pytest

from rarecxr.phantoms.anatomy import sample_anatomy
from rarecxr.phantoms.labels import make_rates, sample_studies
from rarecxr.phantoms.prevalence import COUNTS, DRAWN, ROWS
from rarecxr.phantoms.sites import sample_sites
from rarecxr.study.findings import FINDINGS, NO_FINDING, SUPPORT_DEVICES

N = 6000
# Four standard deviations: one test in some 16,000 fails by accident, and the seed is fixed.
SIGMAS = 4


def drawn(rates, number=1, expert=False, patients=N, seed=1):
    """(patients, number) studies, each patient with a generator of their own."""
    seeds = np.random.SeedSequence(seed).spawn(patients)
    return [sample_studies(np.random.default_rng(s), rates, number, expert) for s in seeds]


def bound(share, n):
    return SIGMAS * np.sqrt(max(share * (1 - share), 1e-4) / n)


@pytest.fixture(scope="module")
def chexpert():
    rates = make_rates({}, uncertain=1.0, uncertain_present=0.5)
    return rates, [studies[0] for studies in drawn(rates)]


@pytest.mark.parametrize("finding", COUNTS)
def test_labels_come_at_chexperts_rates(chexpert, finding):
    _, studies = chexpert
    labels = np.array([study.labels[finding] for study in studies])
    for value, count in zip((1.0, 0.0, -1.0), COUNTS[finding], strict=True):
        share = count / ROWS
        assert (labels == value).mean() == pytest.approx(share, abs=bound(share, N)), value


def test_target_findings_counts_are_the_published_ones():
    published = {"Lung Lesion": 9186, "Pleural Other": 3523, "Fracture": 9040}
    assert {name: COUNTS[name][0] for name in published} == published


def test_the_last_of_many_studies_follows_the_same_rates():
    rates = make_rates({"Fracture": 0.3, "Lung Opacity": 0.5}, 1.0, 0.5)
    last = [studies[-1] for studies in drawn(rates, number=5, patients=2500)]
    for finding in ("Fracture", "Lung Opacity", "Edema", "Enlarged Cardiomediastinum"):
        share = rates.positive[finding]
        got = np.mean([study.labels[finding] == 1.0 for study in last])
        assert got == pytest.approx(share, abs=bound(share, 2500)), finding


def test_prevalence_is_what_the_config_says():
    rates = make_rates({"scale": 0.5, "Fracture": 0.2}, 1.0, 0.5)
    assert rates.positive["Fracture"] == 0.2
    assert rates.positive["Lung Lesion"] == pytest.approx(0.5 * 9186 / 223414)
    studies = [s[0] for s in drawn(rates, patients=3000)]
    got = np.mean([s.labels["Fracture"] == 1.0 for s in studies])
    assert got == pytest.approx(0.2, abs=bound(0.2, 3000))


def test_expert_labels_are_the_truth_without_blanks_and_doubt():
    rates = make_rates({}, 1.0, 0.5)
    for studies in drawn(rates, expert=True, patients=300):
        labels = studies[0].labels
        assert list(labels) == list(FINDINGS)
        assert set(labels.values()) <= {0.0, 1.0}
        for finding in COUNTS:
            assert labels[finding] == float(finding in studies[0].severity)


def test_uncertain_cases_are_the_faintest(chexpert):
    rates, studies = chexpert
    for finding in ("Atelectasis", "Consolidation", "Pneumonia"):
        present = [s for s in studies if finding in s.severity]
        unsure = [s.severity[finding] for s in present if s.labels[finding] == -1.0]
        sure = [s.severity[finding] for s in present if s.labels[finding] == 1.0]
        assert max(unsure) < min(sure)
        absent = sum(s.labels[finding] == -1.0 for s in studies if finding not in s.severity)
        assert absent == pytest.approx(len(unsure), rel=0.35)


def test_opacities_are_often_reported_as_lung_opacity(chexpert):
    _, studies = chexpert
    causes = ("Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
    caused = np.array([any(c in s.severity for c in causes) for s in studies])
    opacity = np.array(["Lung Opacity" in s.severity for s in studies])
    assert opacity[caused].mean() == pytest.approx(0.8, abs=bound(0.8, caused.sum()))
    assert opacity[~caused].mean() < 0.5


def test_findings_of_the_ill_go_together(chexpert):
    _, studies = chexpert
    edema = np.array(["Edema" in s.severity for s in studies])
    effusion = np.array(["Pleural Effusion" in s.severity for s in studies])
    assert effusion[edema].mean() > effusion[~edema].mean() + 0.1


def test_chronic_findings_stay_from_study_to_study():
    rates = make_rates({"Fracture": 0.2, "Pneumonia": 0.2}, 0.0, 0.5)
    pairs = drawn(rates, number=2, patients=2500)

    def kept(finding):
        return np.mean([finding in b.severity for a, b in pairs if finding in a.severity])

    assert kept("Fracture") > 0.8
    assert 0.25 < kept("Pneumonia") < kept("Fracture") - 0.15


def test_no_doubt_when_none_is_asked_for():
    rates = make_rates({}, uncertain=0.0, uncertain_present=0.5)
    labels = [v for studies in drawn(rates, patients=300) for v in studies[0].labels.values()]
    assert -1.0 not in labels
    assert 0.0 in labels


@pytest.mark.parametrize(
    ("prevalence", "message"),
    [
        ({"No Finding": 0.5}, "'No Finding' follows from the other findings"),
        ({"Lung Lesions": 0.5}, "'Lung Lesions' is no finding"),
        ({"Fracture": 0.99}, "Fracture would be positive in 0.990"),
        ({"scale": 3.0}, "Lung Opacity would be positive in 1.418"),
    ],
)
def test_impossible_prevalences_are_refused(prevalence, message):
    with pytest.raises(ValueError, match=message):
        make_rates(prevalence, 1.0, 0.5)


def test_every_finding_but_no_finding_is_labelled_and_has_a_site():
    """Findings are named in one place; a name that is misspelt here would never be drawn."""
    anatomy = sample_anatomy(np.random.default_rng(0), female=True, age=50)
    sites = sample_sites(np.random.default_rng(1), anatomy)
    assert set(DRAWN) == set(FINDINGS) - {NO_FINDING}
    assert set(sites) == set(DRAWN) - {SUPPORT_DEVICES}
