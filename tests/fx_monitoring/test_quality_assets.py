"""predictions to signal_validation through Dagster, over a log as workers write it and tables written directly."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Configuration
from fx_assets.labels import label_frame
from fx_assets.lake import Lake
from fx_assets.partitions import fx_sessions
from fx_assets.sessions import session_bounds
from fx_monitoring.assets import late
from fx_monitoring.assets.common import Shared
from fx_monitoring.definitions import build_definitions
from fx_monitoring.quality import headline, latest
from fx_monitoring.quality.page import make_report
from fx_serving.client.bundle import FeatureRef, LabelInfo, Manifest, schema_hash, write_manifest
from fx_serving.client.clock import to_iso
from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord, ShadowRecord
from tests.fx_assets.small import configuration_of, write_config

MODEL, SESSION, EARLIER = "move", "2021-03-03", "2021-03-02"
KEYS = ["2021-02-28", "2021-03-01", EARLIER, SESSION]
SYMBOLS = ("GBP_USD", "USD_JPY")
ALL_OVER = datetime(2021, 3, 10, tzinfo=UTC)
ASSETS = ("predictions", "shadow_predictions", "prediction_quality", "champion_challenger")
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory) -> Configuration:
    with pytest.MonkeyPatch.context() as patch:
        return configuration_of(write_config(tmp_path_factory.mktemp("config")), patch)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def market(configuration) -> dict[str, pd.DataFrame]:
    """Sixty sessions of hourly bars, and every label of them."""
    rng = np.random.default_rng(1)
    times = pd.date_range(session_bounds(KEYS[0])[0] - timedelta(days=60), ALL_OVER, freq="h").as_unit("us")
    parts = []
    for symbol in SYMBOLS:
        close = np.exp(np.cumsum(rng.normal(0, 1e-3, len(times))))
        columns = {name: close for name in ("open", "high", "low", "close")}
        parts.append(pd.DataFrame({"instrument": symbol, "time": times, **columns}))
    bars = pd.concat(parts, ignore_index=True).assign(available_at=lambda f: f["time"] + pd.Timedelta(hours=1))
    labels = label_frame(bars, list(configuration.label_horizons()), 60)[0]
    return {
        "silver/candles": bars.assign(
            bid_close=bars["close"] * 0.9999, ask_close=bars["close"] * 1.0001, volume=1.0, source="sample"
        ),
        "gold/labels": labels,
    }


@pytest.fixture
def stores(tmp_path, market, monkeypatch) -> Stores:
    """A home with candles, labels and one feature of a few sessions; all that happened is over."""
    made = Stores(tmp_path)
    lake = Lake(made.lake)
    for key in [*KEYS, "2021-03-04"]:
        start, end = (pd.Timestamp(moment) for moment in session_bounds(key))
        for table, frame in market.items():
            lake.write(table, {key: frame[(frame["time"] >= start) & (frame["time"] < end)].reset_index(drop=True)})
        rows = lake.read("gold/labels", [key])[key][["instrument", "time", "available_at"]]
        lake.write("gold/features", {key: rows.assign(log_return_1=0.001)})
    monkeypatch.setenv("FX_CLOCK", to_iso(ALL_OVER))
    for version in ("1", "2"):
        bundle(made, version)
    return made


def bundle(stores: Stores, version: str, horizon: int = 60) -> None:
    """What monitoring reads of an exported model, and the record of its training."""
    folder = stores.bundles / MODEL / version
    folder.mkdir(parents=True)
    features = [FeatureRef("rsi_14", "technical")]
    write_manifest(
        folder,
        Manifest(
            model=MODEL,
            version=version,
            engine="onnx",
            label=LabelInfo("large_move", horizon, "move", "quiet"),
            instruments=list(SYMBOLS),
            features=features,
            schema_hash=schema_hash(features),
            max_feature_age_s={"technical": 7200},
            files={"model.onnx": "0" * 64, "golden.json": "0" * 64},
            lineage={"session": "2021-02-01"},
            created_at=ALL_OVER,
        ),
    )
    if version == "1":
        figures = {"accuracy": 0.95, "auc": 0.95, "brier": 0.06, "ece": 0.02}
        told = {name: {"value": v, "low": v - 0.01, "high": v + 0.01} for name, v in figures.items()}
        record = {"version": version, "figures": told}
        where = f"models/{MODEL}/trained_model/session=2021-02-01/record.json"
        Lake(stores.lake).store.write(where, json.dumps(record).encode())


def log(stores: Stores, name: str, records: list[Any]) -> None:
    stores.predictions.mkdir(parents=True, exist_ok=True)
    with (stores.predictions / name).open("ab") as file:
        file.writelines(msgspec.json.encode(record) + b"\n" for record in records)


def ask(
    stores: Stores, keys: list[str], right: float = 0.9, version: str = "1", worker: str = "w0"
) -> list[PredictionRecord]:
    """One request a bar and instrument; the answer is right with a probability of `right`."""
    rng, made = np.random.default_rng(7), []
    lake = Lake(stores.lake)
    for key in keys:
        table = lake.read("gold/labels", [key])[key]
        for row in table.to_dict("records"):
            happened = row["large_move_60m"]
            good = rng.uniform() < right
            positive = bool(happened) == good
            number = len(made)
            made.append(
                PredictionRecord(
                    prediction_id=f"{worker}-{number}",
                    request_id=None,
                    logged_at=ALL_OVER + timedelta(milliseconds=number),
                    timestamp=row["available_at"].to_pydatetime(),
                    instrument=row["instrument"],
                    model=MODEL,
                    version=version,
                    slot="blue" if version == "1" else "green",
                    fell_back=False,
                    prediction=0.8 if positive else 0.2,
                    label="move" if positive else "quiet",
                    features={"rsi_14": 50.0},
                    overridden=[],
                    feature_time=row["available_at"].to_pydatetime(),
                    feature_age_s=0.0,
                    latency_us=100.0,
                    rollout_id=None,
                    key=None,
                )
            )
    log(stores, f"{worker}-000001.ndjson", made)
    return made


def shadows(stores: Stores, of: list[PredictionRecord], prediction: float = 0.5) -> None:
    log(
        stores,
        "shadow-w0-000001.ndjson",
        [
            ShadowRecord(
                prediction_id=r.prediction_id,
                logged_at=r.logged_at,
                timestamp=r.timestamp,
                instrument=r.instrument,
                model=MODEL,
                version="2",
                rollout_id="r1",
                prediction=prediction,
                failed=None,
                service_us=200.0,
                feature_time=r.feature_time,
            )
            for r in of
        ],
    )


@pytest.fixture
def run(stores, instance, configuration) -> Run:
    """run(first, last, assets): materialize in this process."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    job = build_definitions(configuration, stores.home).resolve_implicit_global_asset_job_def()

    def materialize(first: str = SESSION, last: str | None = None, assets: tuple[str, ...] = ASSETS):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return job.get_subset(asset_selection={dg.AssetKey(a) for a in assets}).execute_in_process(
            instance=instance, partition_key=None if last else first, tags=tags if last else {}
        )

    return materialize


def record(stores: Stores, asset: str, session: str = SESSION) -> dict[str, Any]:
    return json.loads((stores.lake / f"monitoring/{asset}/session={session}/record.json").read_bytes())


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return {c.check_name: c for c in result.get_asset_check_evaluations()}[name]


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    made = {str(e.asset_key): e for e in result.get_asset_materialization_events()}
    return dict(made[str(dg.AssetKey(asset))].materialization.metadata)


def test_answers_are_held_against_what_happened_and_against_the_card(stores, run):
    ask(stores, KEYS, right=0.97)
    assert run(KEYS[0], EARLIER, ("predictions",)).success, "a range is one run"
    result = run()
    table = pd.read_parquet(stores.lake / f"monitoring/predictions/session={SESSION}/part.parquet")
    assert set(table["outcome_source"]) == {"label"}
    rows = latest(Lake(stores.lake), MODEL)
    head = headline(rows)
    assert head is not None
    assert (head.version, head.instrument, head.window) == ("1", "all", "20d")
    assert head.n == 24 * 2 * len(KEYS)
    assert head.accuracy == pytest.approx(0.97, abs=0.03)
    assert head.verdict != "worse"
    assert head.expected is not None
    assert head.expected.accuracy == 0.95
    status = json.loads((stores.quality / f"{MODEL}.json").read_bytes())
    assert (status["session"], status["verdict"]) == (SESSION, head.verdict)
    shown = metadata(result, "prediction_quality")
    for name in (f"{MODEL}_rolling", f"{MODEL}_rolling_brier", f"{MODEL}_calibration"):
        assert "data:image/png;base64," in shown[name].value
    assert shown[f"{MODEL}_accuracy"].value == head.accuracy
    page = stores.reports / "quality" / f"quality-{MODEL}-{SESSION}.html"
    whole = page.read_text()
    assert whole.count("data:image/png;base64,") == 3, "a session that is over has its page without being asked for"
    page.unlink()
    assert make_report(stores, Lake(stores.lake), MODEL) == page
    assert page.read_text() == whole


def test_a_model_that_lost_its_skill_is_worse_and_warns(stores, run):
    ask(stores, KEYS, right=0.5)
    run(KEYS[0], EARLIER, ("predictions",))
    result = run()
    failed = check(result, "quality")
    assert not failed.passed
    assert failed.severity == dg.AssetCheckSeverity.WARN
    head = headline(latest(Lake(stores.lake), MODEL))
    assert head is not None
    assert (head.verdict, head.quality_worse, head.calibration_worse) == ("worse", True, True)
    assert "below the model card's 0.9500" in str(failed.metadata["worse"].value)


def test_outcomes_of_the_future_are_not_known_and_come_later(stores, run, configuration, instance, monkeypatch):
    ask(stores, [EARLIER, SESSION])
    noon = session_bounds(SESSION)[0] + timedelta(hours=12, minutes=30)
    monkeypatch.setenv("FX_CLOCK", to_iso(noon - timedelta(hours=12)))
    run(EARLIER)
    monkeypatch.setenv("FX_CLOCK", to_iso(noon))
    result = run()
    rows = {r.window: r for r in latest(Lake(stores.lake), MODEL) if r.instrument == "all"}
    # Of 24 bars closed at hours 1 to 24, those that closed by hour 11 have an hour behind them.
    assert (rows["session"].n, rows["session"].pending) == (2 * 11, 2 * 13)
    assert metadata(result, "predictions")["outcomes_known"].value == 2 * 11
    # The last bar of the session before closed at the rollover; half an hour later its outcome was open.
    shared = Shared(fx_sessions(configuration), configuration, stores, Lake(stores.lake))
    due, _ = late.due_sessions(shared, ALL_OVER)
    assert list(due) == [EARLIER]
    repository = build_definitions(configuration, stores.home).get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    tick = repository.get_sensor_def("late_outcomes").evaluate_tick(context)
    assert tick.run_requests is not None
    assert [request.partition_key for request in tick.run_requests] == [EARLIER]
    run(EARLIER, assets=("predictions",))
    assert late.due_sessions(shared, ALL_OVER)[0] == {}
    told = FeedbackRecord(
        feedback_id="f",
        received_at=datetime.now(UTC),
        prediction_id="w0-3",
        instrument="GBP_USD",
        timestamp=session_bounds(EARLIER)[0] + timedelta(hours=2),
        model=MODEL,
        realized_direction=1,
        realized_value=None,
    )
    log(stores, "feedback-w0-000001.ndjson", [told])
    due, received = late.due_sessions(shared, datetime.now(UTC) - timedelta(hours=1))
    assert (list(due), received) == ([EARLIER], told.received_at)
    assert late.due_sessions(shared, received)[0] == {}


def test_a_version_of_another_label_has_no_outcome_and_the_run_says_why(stores, run):
    bundle(stores, "7", horizon=240)
    ask(stores, [SESSION], version="7")
    result = run(assets=("predictions",))
    shown = metadata(result, "predictions")
    assert shown["outcomes_known"].value == 0
    assert "it foretells large_move over 240 minutes, models.yaml large_move over 60" in shown["without_label"].value


def test_unseen_scores_are_kept_apart_and_compared_on_the_same_bars(stores, run):
    answered = ask(stores, KEYS)
    shadows(stores, answered)
    run(KEYS[0], EARLIER, ("predictions", "shadow_predictions"))
    run()
    table = pd.read_parquet(stores.lake / f"monitoring/predictions/session={SESSION}/part.parquet")
    assert set(table["version"]) == {"1"}
    unseen = pd.read_parquet(stores.lake / f"monitoring/shadow_predictions/session={SESSION}/part.parquet")
    assert len(unseen) == len(table)
    assert (
        unseen["outcome"].tolist() == table.set_index("prediction_id").loc[unseen["prediction_id"], "outcome"].tolist()
    )
    found = record(stores, "champion_challenger")
    (pair,) = found["pairs"]
    assert (pair["champion"], pair["challenger"], pair["source"], pair["verdict"]) == ("1", "2", "shadow", "worse")
    assert found["shadows"][0]["scores"] == len(answered)
    assert {row.version for row in latest(Lake(stores.lake), MODEL)} == {"1"}


def test_two_slots_side_by_side(stores, run):
    ask(stores, [SESSION])
    ask(stores, [SESSION], right=0.6, version="2", worker="w1")
    run()
    (pair,) = record(stores, "champion_challenger")["pairs"]
    assert (pair["source"], pair["n"]) == ("answered", 48)
    expected = {row.version: row.expected is not None for row in latest(Lake(stores.lake), MODEL)}
    assert expected == {"1": True, "2": False}, "the record of their session's training is version 1's"


def test_a_session_without_predictions_has_empty_records(stores, run):
    result = run()
    assert record(stores, "prediction_quality")["rows"] == []
    assert record(stores, "champion_challenger")["pairs"] == []
    assert check(result, "quality").passed
    assert not stores.quality.exists()


def test_the_night_closes_the_books(stores, run):
    ask(stores, [SESSION])
    batch = pd.DataFrame(
        {
            "instrument": "GBP_USD",
            "decision_time": pd.date_range(
                session_bounds(SESSION)[0] + timedelta(hours=1), periods=5, freq="h"
            ).as_unit("us"),
            "model": MODEL,
            "version": "1",
            "prediction": 0.9,
        }
    )
    Lake(stores.lake).write(f"models/{MODEL}/batch_predictions", {SESSION: batch})
    result = run(assets=(*ASSETS, "signal_validation", "data_quality_report"))
    rows = {(r["source"], r["instrument"]): r for r in record(stores, "signal_validation")["rows"]}
    served, night = rows["service", "all"], rows["batch", "GBP_USD"]
    assert (served["answers"], served["known"]) == (48, 48)
    assert served["hit_rate"] == pytest.approx(0.9, abs=0.1)
    assert served["cost"] > 0
    assert served["net"] == pytest.approx(served["gross"] - served["cost"])
    assert (night["answers"], night["signals"]) == (5, 5)
    assert record(stores, "signal_validation")["notes"] == [f"{MODEL}: no decision by paper trading"]
    assert check(result, "settled").passed
    page = stores.reports / "data-quality" / f"data-quality-{SESSION}.html"
    assert metadata(result, "data_quality_report")["page"].value == str(page)
    assert page.is_file()
    assert not check(result, "ordinary").passed, "most tables are not there"
    assert record(stores, "data_quality_report")["completeness"] == dict.fromkeys(SYMBOLS, 1.0)


def test_the_jobs_and_the_sensor_are_there(configuration, tmp_path):
    repository = build_definitions(configuration, tmp_path).get_repository_def()
    assert {"monitor", "signal_validation_nightly", "late_outcomes"} <= set(repository.job_names)
    monitor = repository.get_job("monitor")
    assert {"predictions", "prediction_quality", "quant_health"} <= {
        key.path[-1] for key in monitor.asset_layer.executable_asset_keys
    }
    assert "late_outcomes" in {sensor.name for sensor in repository.sensor_defs}
