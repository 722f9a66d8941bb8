"""The training set held against the gold rows it should be made of, by code that does not join."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Label
from fx_assets.lake import Lake
from fx_assets.models.as_of import SAMPLED, problems, sampled

HOUR = pd.Timedelta(hours=1)
NAMES = ["slow", "fast"]
MINUTES = {"EUR_USD": 60, "USD_JPY": 60}
LABEL = Label(kind="direction", horizon_minutes=120)
SESSIONS = [f"2021-03-{day:02d}" for day in (1, 2, 3, 4)]


@pytest.fixture
def lake(tmp_path) -> Lake:
    """Gold features of four sessions: 24 hours of two instruments each, one value missing."""
    made = Lake(tmp_path / "lake")
    random = np.random.default_rng(3)
    for key in SESSIONS:
        time = pd.date_range(f"{key} 22:00", periods=24, freq="1h", tz="UTC", unit="us")
        parts = [pd.DataFrame({"instrument": name, "time": time, "available_at": time + HOUR}) for name in MINUTES]
        frame = pd.concat(parts, ignore_index=True)
        frame = frame.assign(slow=random.normal(size=len(frame)), fast=random.normal(size=len(frame)))
        made.write("gold/features", {key: frame.sample(frac=1.0, random_state=1)})
    return made


@pytest.fixture
def rows(lake) -> pd.DataFrame:
    frame = pd.concat(lake.read("gold/features", SESSIONS).values(), ignore_index=True)
    frame = frame.rename(columns={"available_at": "decision_time"})
    frame = frame.assign(label_end=frame["decision_time"] + 2 * HOUR, label=1.0)
    return frame.sort_values(["decision_time", "instrument"], ignore_index=True)


def found(lake: Lake, rows: pd.DataFrame, label: Label = LABEL) -> list[str]:
    return problems(lake, rows, NAMES, label, MINUTES, SESSIONS)


def test_rows_that_hold_what_was_known_are_good(lake, rows):
    assert found(lake, rows) == []
    # Rows may be left out, as those without a label are.
    assert found(lake, rows.iloc[::3].reset_index(drop=True)) == []


@pytest.mark.parametrize("step", [-1, 1])
def test_a_neighbours_values_are_found(lake, rows, step):
    shifted = rows.assign(fast=rows.groupby("instrument")["fast"].shift(step)).dropna(ignore_index=True)
    (told,) = found(lake, shifted)
    assert told.startswith(f"fast: {len(shifted)} of {len(shifted)} rows are not what was known at the decision")


def test_the_other_instruments_values_are_found(lake, rows):
    other = rows["instrument"].map({"EUR_USD": "USD_JPY", "USD_JPY": "EUR_USD"})
    (told,) = found(lake, rows.assign(instrument=other))
    assert told.startswith("slow, fast: 192 of 192 rows")


def test_one_altered_value_is_found_and_named(lake, rows):
    rows.loc[77, "slow"] = np.nextafter(rows.loc[77, "slow"], 1.0)
    (told,) = found(lake, rows)
    row = rows.loc[77]
    assert told.startswith("slow: 1 of 192 rows")
    assert told.endswith(f"the first of {row['instrument']} at {row['decision_time'].isoformat()}")


def test_decisions_and_ends_are_those_of_the_bar(lake, rows):
    (told,) = found(lake, rows.assign(time=rows["time"] - HOUR))
    assert told.startswith("192 decisions are not taken when their bar closes")
    (told,) = found(lake, rows.assign(label_end=rows["label_end"] - HOUR))
    assert told.startswith("192 labels do not end when their horizon is over")
    counted = Label(kind="direction", horizon_bars=2)
    assert found(lake, rows.assign(label_end=rows["label_end"] + 48 * HOUR), counted) == []
    (told,) = found(lake, rows.assign(label_end=rows["label_end"] - HOUR), counted)
    assert told.startswith("192 labels do not end")
    barriers = Label(kind="triple_barrier", timeout_bars=24, up=1.0, down=1.0)
    assert found(lake, rows.assign(label_end=rows["label_end"] - HOUR), barriers) == []


def test_nothing_to_compare_with_is_a_problem(lake, rows, tmp_path):
    assert "none of the sessions" in found(Lake(tmp_path / "empty"), rows)[0]
    late = rows.assign(**{name: rows[name] + 400 * HOUR for name in ("time", "decision_time", "label_end")})
    assert found(lake, late) == [
        "no decision of the sampled sessions has a row of gold/features that was known just then"
    ]


def test_the_sample_spans_the_window():
    keys = [str(number) for number in range(100)]
    assert (sampled(keys)[0], sampled(keys)[-1], len(sampled(keys))) == ("0", "99", SAMPLED)
    assert sampled(keys[:3]) == ["0", "1", "2"]
    assert sampled(keys[:1]) == ["0"]
