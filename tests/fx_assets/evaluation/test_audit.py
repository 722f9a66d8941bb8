"""The audit of folds: silent about every honest way of splitting, and about no dishonest one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation.audit import audit, audit_folds
from fx_assets.evaluation.spec import Folding
from fx_assets.evaluation.splits import Fold, folds

HOUR = np.timedelta64(1, "h")


def rows_of(life: int, seed: int = 0) -> pd.DataFrame:
    """Two instruments by the hour without weekends, labels of 1 to `life` hours."""
    time = pd.date_range("2021-01-04", periods=600, freq="1h", tz="UTC").as_unit("us")
    time = time[time.dayofweek < 5].repeat(2)
    lives = np.random.default_rng(seed).integers(1, life + 1, len(time))
    return pd.DataFrame({"decision_time": time, "label_end": time + pd.to_timedelta(lives, unit="h")})


def asked(method: Any, embargo: int = 1) -> Folding:
    return Folding(method=method, folds=5, embargo_minutes=60 * embargo)


@pytest.mark.parametrize("method", ["walk_forward", "kfold", "combinatorial"])
@pytest.mark.parametrize(("life", "embargo"), [(1, 0), (1, 1), (30, 5)])
def test_honest_folds_are_passed(method, life, embargo):
    rows, validation = rows_of(life), asked(method, embargo)
    assert audit(rows, folds(rows, validation), validation) == []
    shuffled = rows.sample(frac=1.0, random_state=1)
    assert audit(shuffled, folds(shuffled, validation), validation) == []


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'shuffled' is not one of walk_forward kfold combinatorial"):
        folds(rows_of(1), asked("shuffled"))


def test_shuffled_folds_are_found_even_without_overlap_or_embargo():
    rows = rows_of(1)
    order = np.random.default_rng(3).permutation(len(rows))
    cuts = [Fold(np.sort(np.setdiff1d(order, part)), np.sort(part)) for part in np.array_split(order, 5)]
    found = audit(rows, cuts, asked("kfold", embargo=0))
    assert len([words for words in found if "where there should be 1" in words]) == 5
    # One instrument only: then no tested label overlaps one that trains, and the periods alone tell.
    single = rows.iloc[::2].reset_index(drop=True)
    halves = [Fold(np.arange(0, 400, 2), np.arange(1, 400, 2))]
    (words,) = audit(single, halves, asked("kfold", embargo=0))
    assert words == "fold 1 of 1: training rows cut the test rows into 200 periods, where there should be 1"


@pytest.mark.parametrize("short", [1, 2, 5])
def test_a_purge_that_is_an_hour_short_is_found(short):
    rows = rows_of(8)
    start, end = (rows[name].to_numpy("datetime64[us]") for name in ("decision_time", "label_end"))
    edge = start[600]
    test = np.flatnonzero(start >= edge)
    for embargo in (0, 3):
        limit = edge - embargo * HOUR
        honest = Fold(np.flatnonzero((end <= limit) & (start < edge)), test)
        careless = Fold(np.flatnonzero((end <= limit + short * HOUR) & (start < edge)), test)
        assert audit_folds(start, end, [honest], embargo * HOUR) == []
        (words,) = audit_folds(start, end, [careless], embargo * HOUR)
        assert f"{len(careless.train) - len(honest.train)} training labels are not {60 * embargo} minutes away" in words


def test_every_broken_rule_is_named():
    rows = rows_of(1)
    cuts = folds(rows, asked("walk_forward"))
    start, end = (rows[name].to_numpy("datetime64[us]") for name in ("decision_time", "label_end"))
    last = cuts[-1]

    def told(*broken: Fold, method: str = "walk_forward") -> str:
        return "\n".join(audit_folds(start, end, broken, HOUR, method))

    assert told(*cuts) == ""
    assert told() == "there are no folds"
    assert "there are no training rows" in told(Fold(last.train[:0], last.test))
    assert "there are no test rows" in told(Fold(last.train, last.test[:0]))
    assert "1 training rows are repeated" in told(Fold(np.append(last.train, 0), last.test))
    assert f"but there are {len(rows)} rows" in told(Fold(last.train, np.append(last.test, len(rows))))
    assert "row numbers go from -1" in told(Fold(np.append(-1, last.train), last.test))
    assert "1 rows are both trained on and tested" in told(Fold(np.append(last.train, last.test[0]), last.test))
    assert "rows are tested by more than one fold" in told(last, last)
    later = folds(rows, asked("kfold"))[0]
    assert told(later, method="kfold") == ""
    assert "decided after the test begins" in told(later)
