"""Leaks planted in a fork of the pipeline: each is stopped by a check before a model could be promoted.

Shuffled folds, a bar's close that is known when the bar opens (of the hour itself, and of four hours), a centred mean,
the outcome as a feature; and what goes wrong where tables are put together: a join without its lag, the outcome among
the inputs, a decision after its label has begun. The champion, its bundle and the registry are left as they were;
without a leak the same run promotes its model.
"""

from collections.abc import Callable, Iterator

import dagster as dg
import numpy as np
import pandas as pd
import pytest

import fx_assets.features.filled
import fx_assets.gold.assets
import fx_assets.silver.assets
from fx_assets.evaluation import splits
from fx_assets.feature_store.training import training_rows
from fx_assets.features.blocks import Bars
from fx_assets.features.engine import features_of
from fx_assets.labels import outcome
from fx_assets.models import training_set
from fx_assets.models.registry import CHALLENGER, CHAMPION, open_registry, version_with_alias
from fx_assets.runs.steps import TRAINING
from tests.fx_assets.features import leaks
from tests.fx_assets.small import (
    BRONZE,
    GATES,
    INSTRUMENTS,
    MODELS,
    TABLES,
    Platform,
    changed,
    checks,
    configuration_of,
    made,
    write_config,
)

FIRST, CHAMPIONS, LATER = "2020-11-01", "2021-01-12", "2021-01-13"
STEPS = [f"move/{step}" for step in (*TRAINING, "model_bundle")]
EVERYTHING = [*TABLES, *STEPS]
Plant = Callable[[pytest.MonkeyPatch], None]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    """Two instruments, fifty sessions, and a champion that was promoted by an honest run."""
    told = changed(INSTRUMENTS, sessions={"start": FIRST, "end": "2021-01-15"})
    models = changed(
        MODELS,
        models__move__label={"kind": "direction", "horizon_minutes": 60},
        models__move__features={"groups": ["technical"]},
        models__move__training={"sessions": 45, "min_rows": 500},
    )
    folder = write_config(tmp_path_factory.mktemp("config"), told, models, GATES)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        made_here = Platform(tmp_path_factory.mktemp("home"), configuration_of(folder, patch), instance)
        made_here.run([*BRONZE, *TABLES], FIRST, LATER)
        made_here.run(["feature_registry"])
        made_here.run(STEPS, CHAMPIONS)
        yield made_here


def state(platform: Platform) -> dict:
    """What a leak must not touch: registered versions, aliases, every byte of every bundle."""
    client = open_registry(platform.home)
    bundles = platform.home / "bundles"
    return {
        "versions": sorted(str(found.version) for found in client.search_model_versions("name = 'move'")),
        "aliases": {alias: version_with_alias(client, "move", alias) for alias in (CHAMPION, CHALLENGER)},
        "bundles": {str(p.relative_to(bundles)): p.read_bytes() for p in bundles.rglob("*") if p.is_file()},
    }


def feature(leak: leaks.Leak) -> Plant:
    """A technical feature that is made with the mistake."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        def compute(bars: Bars, *arguments, **named) -> pd.DataFrame:
            found = features_of(bars, *arguments, **named)
            name = "sma_distance_20"
            return found.assign(**{name: leak(bars.frame).iloc[:, -1].to_numpy()}) if name in found else found

        patch.setattr(fx_assets.features.filled, "features_of", compute)

    return plant


def close_at_open(patch: pytest.MonkeyPatch) -> None:
    """Features of the hour's close, said to be known when the hour begins: the decision before is given them."""
    stamped = fx_assets.silver.assets.with_available_at

    def early(features: pd.DataFrame, bar_minutes: dict[str, int]) -> pd.DataFrame:
        return stamped(features, dict.fromkeys(bar_minutes, 0))

    for module in (fx_assets.silver.assets, fx_assets.gold.assets):
        patch.setattr(module, "with_available_at", early)


def label_as_feature(bars: pd.DataFrame) -> pd.DataFrame:
    """The return of the hour to come, under the name of a feature."""
    ahead = bars.groupby("instrument")["close"].transform(lambda close: np.log(close.shift(-1) / close))
    return bars.assign(leak=ahead)


def without_lag(patch: pytest.MonkeyPatch) -> None:
    """Features joined by the bar's own end instead of the decision: each decision is given those of the next hour."""

    def joined(store, service, decisions: pd.DataFrame) -> pd.DataFrame:
        hour = pd.Timedelta(hours=1)
        later = decisions.assign(decision_time=decisions["decision_time"] + hour)
        rows = training_rows(store, service, later)
        return rows.assign(decision_time=rows["decision_time"] - hour)

    patch.setattr(training_set, "training_rows", joined)


def outcome_as_input(patch: pytest.MonkeyPatch) -> None:
    """One input of the training set holds the label."""

    def joined(store, service, decisions: pd.DataFrame) -> pd.DataFrame:
        rows = training_rows(store, service, decisions)
        return rows.assign(rsi_14=rows["label"])

    patch.setattr(training_set, "training_rows", joined)


def late_decision(patch: pytest.MonkeyPatch) -> None:
    """Labels said to be decided upon half an hour after they begin."""

    def shifted(table: pd.DataFrame, *arguments) -> pd.DataFrame:
        found = outcome(table, *arguments)
        return found.assign(decision_time=found["decision_time"] + pd.Timedelta(minutes=30))

    patch.setattr(training_set, "outcome", shifted)


def shuffled_folds(patch: pytest.MonkeyPatch) -> None:
    """Folds drawn like lots, as a library's default cuts them."""

    def shuffled(rows: pd.DataFrame, validation: splits.Validation) -> list[splits.Fold]:
        order = np.random.default_rng(7).permutation(len(rows))
        parts = [np.sort(part) for part in np.array_split(order, validation.folds)]
        return [splits.Fold(np.setdiff1d(order, part), part) for part in parts]

    patch.setattr(splits, "folds", shuffled)


PLANTED: dict[str, tuple[Plant, str, str]] = {
    "centred mean": (feature(leaks.centred_mean), "silver/technical/no_lookahead", "sma_distance_20 of "),
    "close of four hours at their open": (
        feature(leaks.four_hour_close),
        "silver/technical/no_lookahead",
        "sma_distance_20 of ",
    ),
    "close of the hour at its open": (close_at_open, "silver/technical/no_lookahead", "available_at of "),
    "label as a feature": (feature(label_as_feature), "silver/technical/no_lookahead", "sma_distance_20 of "),
    "join without its lag": (without_lag, "move/training_set/as_of_decision", "are not what was known at the decision"),
    "label among the inputs": (outcome_as_input, "move/training_set/as_of_decision", "rsi_14: "),
    "label begins before its decision": (
        late_decision,
        "move/training_set/as_of_decision",
        "decisions are not taken when their bar closes",
    ),
    "shuffled folds": (shuffled_folds, "move/model_study/folds_audited", "training rows cut the test rows into"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_stopped_before_promotion(platform, monkeypatch, name):
    plant, stops, words = PLANTED[name]
    before = state(platform)
    assert before["aliases"][CHAMPION] is not None
    with monkeypatch.context() as patch:
        plant(patch)
        result = platform.run(EVERYTHING, LATER, must=False)
    assert not result.success
    check = checks(result)[stops]
    assert (check.passed, check.blocking, check.severity) == (False, True, dg.AssetCheckSeverity.ERROR)
    assert words in str([check.description, *(value.value for value in check.metadata.values())])
    asset = stops.rpartition("/")[0]
    behind = STEPS[STEPS.index(asset) + 1 :] if asset in STEPS else ["gold/features", *STEPS]
    assert not set(made(result)) & set(behind)
    assert state(platform) == before


def test_without_a_leak_the_same_run_promotes_its_model(platform):
    before = state(platform)
    result = platform.run(EVERYTHING, LATER)
    assert set(made(result)) == set(EVERYTHING)
    assert all(check.passed for name, check in checks(result).items() if name.startswith("move/model_study"))
    after = state(platform)
    (version,) = set(after["versions"]) - set(before["versions"])
    assert after["aliases"] == {CHAMPION: version, CHALLENGER: version}
    assert (platform.home / "bundles" / "move" / version).is_dir()
