import itertools

import numpy as np
import pytest
from scipy import stats

from rarecxr.statistics import hypothesis_tests


def test_p_value_is_that_of_a_t_test():
    sample = np.random.default_rng(0).normal(0.3, 1, 12)
    se = sample.std(ddof=1) / np.sqrt(12)
    expected = stats.ttest_1samp(sample, 0).pvalue
    assert hypothesis_tests.p_difference(sample.mean(), se, 11) == pytest.approx(expected)


def test_equivalence_holds_at_5_percent_if_the_90_percent_interval_lies_within_the_margin():
    generator = np.random.default_rng(1)
    decided = []
    for value, se in generator.normal(0, 0.01, (300, 2)):
        p = hypothesis_tests.p_equivalence(value, abs(se), 9, margin=0.02)
        reach = stats.t.ppf(0.95, 9) * abs(se)
        inside = value - reach > -0.02 and value + reach < 0.02
        assert (p <= 0.05) == inside
        decided.append(inside)
    assert 50 < sum(decided) < 250


def test_without_any_spread_the_value_itself_decides():
    assert hypothesis_tests.p_difference(0, 0, np.inf) == 1
    assert hypothesis_tests.p_difference(0.1, 0, np.inf) == 0
    assert hypothesis_tests.p_equivalence(0.004, 0, np.inf, 0.01) == 0
    assert hypothesis_tests.p_equivalence(-0.01, 0, np.inf, 0.01) == 1


def test_detectable_difference_is_found_with_80_percent_power():
    generator = np.random.default_rng(2)
    df, se = 6, 0.01
    true = hypothesis_tests.detectable(se, df)
    # An estimate around the truth, with an estimated standard error of 6 degrees of freedom.
    values = generator.normal(true, se, 50_000)
    errors = se * np.sqrt(generator.chisquare(df, 50_000) / df)
    found = np.abs(values) / errors > stats.t.ppf(0.975, df)
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_holm_of_a_case_worked_by_hand():
    np.testing.assert_allclose(hypothesis_tests.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(hypothesis_tests.holm([0.5, 0.9]), [1, 1])


def test_holm_is_bonferroni_in_every_subset():
    p = np.random.default_rng(3).random(5) ** 3
    corrected = hypothesis_tests.holm(p)
    for i in range(5):
        # Closed testing: reject only what every family that holds it rejects.
        families = [
            family
            for size in range(1, 6)
            for family in itertools.combinations(range(5), size)
            if i in family
        ]
        worst = max(min(1, len(family) * min(p[list(family)])) for family in families)
        assert corrected[i] == pytest.approx(worst)


def test_holm_leaves_out_what_could_not_be_tested():
    corrected = hypothesis_tests.holm([0.02, np.nan, 0.01])
    np.testing.assert_allclose(corrected, [0.02, np.nan, 0.02])


@pytest.mark.parametrize(
    ("value", "p", "p_equivalent", "word"),
    [
        (0.03, 0.01, 0.99, "better"),
        (-0.03, 0.01, 0.99, "worse"),
        (0.03, 0.20, 0.60, "inconclusive"),
        (0.001, 0.60, 0.01, "no difference that matters"),
        # There, and shown to be too small to matter.
        (0.004, 0.001, 0.001, "no difference that matters"),
    ],
)
def test_verdicts(value, p, p_equivalent, word):
    assert hypothesis_tests.verdict(value, p, p_equivalent) == word
