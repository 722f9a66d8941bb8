"""Good, worse, inconclusive: at the edges of each rule, and how often chance alone is called worse."""

import msgspec
import numpy as np
import pytest

from fx_monitoring.configuration.quality import QualityPolicy
from fx_monitoring.quality.expectation import from_figures
from fx_monitoring.quality.figures import measure
from fx_monitoring.quality.rows import Expected
from fx_monitoring.quality.verdict import judge
from tests.counts import count
from tests.fx_monitoring.quality.answers import CALENDAR, answers, sessions

POLICY = QualityPolicy()
CARD = Expected(accuracy=0.6, auc=0.6, brier=0.24, ece=0.02, accuracy_low=0.59, auc_low=0.59, brier_high=0.242)


def figures(**changed) -> dict:
    found = {"n": 1000, "n_effective": 800.0, "blocks": 20}
    for name, value in {"accuracy": 0.6, "auc": 0.6, "brier": 0.24}.items():
        found |= {name: value, f"{name}_low": value - 0.005, f"{name}_high": value + 0.005}
    return found | changed


def test_as_promised_is_good():
    told = judge(figures(), CARD, POLICY)
    assert (told["verdict"], told["quality_worse"], told["calibration_worse"]) == ("good", False, False)
    assert told["drop_relative"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("auc", "high", "worse"),
    [
        (0.56, 0.58, True),  # 6.7 % below, and surely
        (0.56, 0.59, False),  # meets the card's own interval
        (0.5701, 0.58, False),  # surely below, but by less than 5 %
        (0.5699, 0.58, True),
    ],
)
def test_a_drop_counts_above_the_limit_and_beyond_chance(auc, high, worse):
    told = judge(figures(auc=auc, auc_low=auc - 0.02, auc_high=high), CARD, POLICY)
    assert told["quality_worse"] is worse
    assert (told["verdict"] == "worse") is worse
    assert told["drop_relative"] == pytest.approx((0.6 - auc) / 0.6)
    assert bool(told["reasons"]) is True


def test_few_blocks_must_be_twice_as_sure():
    lower = {"auc": 0.5, "auc_low": 0.45}
    assert judge(figures(**lower, auc_high=0.56, blocks=12), CARD, POLICY)["verdict"] == "worse"
    assert judge(figures(**lower, auc_high=0.56, blocks=11), CARD, POLICY)["verdict"] == "inconclusive"
    assert judge(figures(**lower, auc_high=0.54, blocks=11), CARD, POLICY)["verdict"] == "worse"


@pytest.mark.parametrize(
    ("brier", "low", "worse"), [(0.2525, 0.243, True), (0.2525, 0.242, False), (0.2515, 0.25, False)]
)
def test_a_rise_of_the_brier_score_is_calibration(brier, low, worse):
    told = judge(figures(brier=brier, brier_low=low, brier_high=0.26), CARD, POLICY)
    assert told["calibration_worse"] is worse
    assert told["quality_worse"] is False
    assert told["brier_rise_relative"] == pytest.approx((brier - 0.24) / 0.24)


@pytest.mark.parametrize(
    ("found", "card", "why"),
    [
        ({"n": 0, "n_effective": 0.0, "blocks": 0}, CARD, "no outcome is known"),
        (figures(), None, "model card are not on record"),
        (figures(blocks=5), CARD, "5 blocks"),
        (figures(n_effective=49.0), CARD, "49 effective rows"),
        (figures(auc_low=0.5, auc_high=0.7), CARD, "auc: a change above the limit"),
    ],
)
def test_too_little_is_inconclusive_and_says_why(found, card, why):
    told = judge(found, card, POLICY)
    assert told["verdict"] == "inconclusive"
    assert why in told["reasons"][0]


def test_a_card_without_a_figure_is_not_asked_for_it():
    told = judge(figures(auc=None, auc_low=None, auc_high=None), msgspec.structs.replace(CARD, auc=None), POLICY)
    assert told["verdict"] == "good"


def test_chance_alone_is_hardly_ever_called_worse_and_a_real_drop_is_seen():
    """Windows of 20 sessions as in the study, and some in which half of what the model knew is gone."""
    windows = count("quality_windows")
    study = measure(answers(CALENDAR * 2, seed=1_000), 60)
    card = from_figures(
        {
            n: {"value": study[n], "low": study[f"{n}_low"], "high": study[f"{n}_high"]}
            for n in ("accuracy", "auc", "brier")
        }
    )
    same = [judge(measure(answers(sessions(20), seed=s), 60), card, POLICY)["verdict"] for s in range(windows)]
    assert same.count("worse") <= max(1, 0.02 * windows)
    rows = [answers(sessions(20), seed=s) for s in range(windows // 5)]
    rng = np.random.default_rng(5)
    for frame in rows:
        forgot = rng.uniform(size=len(frame)) < 0.5
        frame.loc[forgot, "outcome"] = (rng.uniform(size=int(forgot.sum())) < 0.5).astype(float)
    broken = [judge(measure(frame, 60), card, POLICY)["verdict"] for frame in rows]
    assert broken.count("worse") >= 0.9 * len(broken)
