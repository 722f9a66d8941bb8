"""What a model may be trained on, and how a window that cannot be used is refused."""

import shutil

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Features
from fx_assets.errors import DataError, MissingData
from fx_assets.feature_store.repository import apply, open_store
from fx_assets.features import specs
from fx_assets.lake import Lake
from fx_assets.models import training_set
from fx_assets.models.train import half_spreads
from fx_assets.sessions import session_bounds

SESSION = "2021-03-15"
WINDOW = 40


@pytest.fixture
def keys(history) -> list[str]:
    return history.lake.keys("gold/labels")


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def build(history, tmp_path, keys, lake):
    """training_set.build over a copy of the window, which the test may spoil first."""
    here = keys.index(SESSION)
    # One session more on either side: what lies outside the window must make no difference.
    for table in ("gold/labels", "gold/features", "silver/candles"):
        for key in keys[here - WINDOW - 1 : here + 2]:
            shutil.copytree(history.lake.path(table, key).parent, lake.path(table, key).parent)
    store = open_store(tmp_path, history.configuration)

    def call(*, spoil=None, session: str = SESSION, min_rows: int = 1000, **features) -> pd.DataFrame:
        if spoil is not None:
            table, change = spoil
            lake.write(table, {key: change(frame) for key, frame in lake.read(table, lake.keys(table)).items()})
        entry = history.configuration.models.models["move"]
        training = entry.training.model_copy(update={"sessions": WINDOW, "min_rows": min_rows})
        models = history.configuration.models.model_copy(
            update={
                "models": {"move": entry.model_copy(update={"training": training, "features": Features(**features)})}
            }
        )
        configuration = history.configuration.model_copy(update={"models": models})
        apply(store, lake.root, configuration)
        return training_set.build(store, lake, configuration, "move", session, keys)

    return call


def test_only_what_was_decided_before_the_session_began(build, keys, history):
    rows = build()
    start = pd.Timestamp(session_bounds(SESSION)[0])
    assert rows["label_end"].max() <= start
    assert rows["decision_time"].min() >= session_bounds(keys[keys.index(SESSION) - WINDOW])[0]
    assert (rows["decision_time"] < rows["label_end"]).all()
    assert rows[training_set.features(history.configuration, "move")].notna().all().all()
    assert rows["weight"].between(0, 1, inclusive="right").all()
    assert set(rows["label"]) == {0.0, 1.0}
    assert rows["persistence"].notna().all()
    assert rows.equals(rows.sort_values(["decision_time", "instrument"], kind="stable"))


def test_what_happens_in_the_session_and_after_changes_nothing(build):
    before = build()

    def future(frame: pd.DataFrame) -> pd.DataFrame:
        late = frame["available_at"] > pd.Timestamp(session_bounds(SESSION)[0])
        numbers = frame.select_dtypes("float64").columns
        return frame.assign(**{n: frame[n].where(~late, 1.0) for n in numbers})

    for table in ("gold/features", "gold/labels", "silver/candles"):
        after = build(spoil=(table, future))
        pd.testing.assert_frame_equal(after, before, check_exact=True)


def test_the_cost_of_a_trade_knows_nothing_of_the_session(build, history, lake):
    rows = build()
    before = half_spreads(history.configuration, rows, lake, SESSION)
    assert before["GBP_USD"] == pytest.approx(0.00012 / 1.38 / 2, rel=0.05)
    lake.path("silver/candles", SESSION).unlink()
    assert half_spreads(history.configuration, rows, lake, SESSION) == before


def test_a_session_that_is_not_made_is_named_with_the_command(build, keys, lake):
    lost = keys[keys.index(SESSION) - 5]
    lake.path("gold/features", lost).unlink()
    with pytest.raises(MissingData) as caught:
        build()
    first, last = keys[keys.index(SESSION) - WINDOW], keys[keys.index(SESSION) - 1]
    assert f"move, session {SESSION}: gold/features or gold/labels not made for {lost}" in str(caught.value)
    assert f"Run `fx backfill --from {first} --to {last}`" in str(caught.value)


def test_the_very_first_session_has_nothing_to_learn_from(build, keys):
    with pytest.raises(MissingData, match=f"session {keys[0]}: gold/features or gold/labels not made for {keys[0]}"):
        build(session=keys[0])


def test_too_few_rows_are_told_with_both_numbers(build):
    count = len(build())
    with pytest.raises(DataError) as caught:
        build(min_rows=count + 1)
    assert f"{count} complete rows in {WINDOW} sessions, training.min_rows is {count + 1}" in str(caught.value)
    assert "Backfill more history or lower it in models.yaml" in str(caught.value)


def test_no_decided_label_at_all_is_too_few_rows(build):
    with pytest.raises(DataError, match="0 complete rows in 40 sessions"):
        build(spoil=("gold/labels", lambda frame: frame.assign(large_move_60m=np.nan)))


def test_one_class_is_refused(build):
    def always(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(large_move_60m=frame["large_move_60m"].where(frame["large_move_60m"].isna(), 1.0))

    with pytest.raises(DataError, match=f"move, session {SESSION}: every label is 1. Widen the window"):
        build(spoil=("gold/labels", always))


def test_a_decision_that_stands_twice_is_refused(build):
    def twice(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame, frame.head(2)], ignore_index=True)

    with pytest.raises(DataError) as caught:
        build(spoil=("gold/labels", twice))
    assert f"move, session {SESSION}: gold/labels: " in str(caught.value)
    assert "decisions stand twice, the first of GBP_USD at 202" in str(caught.value)


@pytest.mark.parametrize("apart", [0.0, 7.0])
def test_features_that_stand_twice_are_refused(build, apart):
    """The join would take one of the two, whichever it is."""

    def twice(frame: pd.DataFrame) -> pd.DataFrame:
        other = frame.head(1)
        return pd.concat([frame, other.assign(rsi_14=other["rsi_14"] + apart)], ignore_index=True)

    with pytest.raises(DataError) as caught:
        build(spoil=("gold/features", twice))
    assert f"move, session {SESSION}: gold/features: {WINDOW} decisions stand twice, the first of GBP_" in str(
        caught.value
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_a_value_that_float32_cannot_hold_is_named(build, value):
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(rsi_14=frame["rsi_14"].where(np.arange(len(frame)) > 0, value))

    with pytest.raises(DataError) as caught:
        build(spoil=("gold/features", spoil))
    assert f"move, session {SESSION}: gold/features: rsi_14 (1) has " in str(caught.value)
    assert "values that are infinite or too large for float32, the first of GBP_USD at 202" in str(caught.value)


def test_what_a_training_set_was_made_of_is_kept_and_belongs_to_its_rows(history, lake):
    keys = history.lake.keys("gold/labels")[-3:]
    contents = training_set.gold_contents(history.lake, keys)
    assert list(contents) == ["gold/features", "gold/labels"]
    assert sorted(contents["gold/labels"]) == keys
    origin = training_set.Origin("abc", "move_v1", "2", contents)
    training_set.write_origin(lake, "move", SESSION, origin)
    assert training_set.read_origin(lake, "move", SESSION, "abc") == origin
    with pytest.raises(MissingData, match="not on record what these rows were made of"):
        training_set.read_origin(lake, "move", SESSION, "abd")
    with pytest.raises(MissingData, match="Materialize the training set again"):
        training_set.read_origin(lake, "move", "2021-03-16", "abc")


def test_a_feature_without_any_value_is_named(build):
    with pytest.raises(DataError, match=r"rsi_14 \(1\) has no value in the whole window. Check gold/features"):
        build(spoil=("gold/features", lambda frame: frame.assign(rsi_14=np.nan)))


def test_a_model_sees_the_features_that_it_chose_and_no_others(build):
    rows = build(groups=("technical", "lags"), exclude=("rsi_14",))
    assert {"macd", "log_return_1_lag1"} <= set(rows.columns)
    assert not {"rsi_14", "move_adjusted", "news_count_1h"} & set(rows.columns)


def test_candles_without_volume_are_told_which_line_to_edit(build):
    def without_volume(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{spec.name: np.nan for spec in specs() if "volume" in spec.requires})

    with pytest.raises(DataError) as caught:
        build(spoil=("gold/features", without_volume))
    assert "has no value in the whole window. Its candles have no volume" in str(caught.value)
    assert "in models.yaml, set models.move.features.candle_columns to []" in str(caught.value)
    assert len(build(candle_columns=())) > 1000
