"""The gates of a rollout: pure functions from evidence to verdict, no clock, no files, no state.

base        what they are told and what they say
sequential  the mathematics: tests that may be looked at as often as one likes
evidence    step by step, candidate against control group
rates       errors, and answers slower than the limit
comparison  latency ratio and distribution of predictions against the deployed version
pairs       predictions of both for the same events, with what happened
quality     Sharpe ratio, Brier score, experiments
judge       all of them together
split       the salt that makes a split even
"""

from fx_serving.controller.gates.base import Experiment, GateVerdict, Plan, Sample, Totals, Verdict
from fx_serving.controller.gates.judge import judge
from fx_serving.controller.gates.pairs import Outcome, Pairs, pair
from fx_serving.controller.gates.quality import experiment
from fx_serving.controller.gates.split import REFERENCE_KEYS, Salt, choose_salt, reference_keys

__all__ = [
    "REFERENCE_KEYS",
    "Experiment",
    "GateVerdict",
    "Outcome",
    "Pairs",
    "Plan",
    "Salt",
    "Sample",
    "Totals",
    "Verdict",
    "choose_salt",
    "experiment",
    "judge",
    "pair",
    "reference_keys",
]
