"""predictions and drift_report, run in this process over log segments as workers write them."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import StoreError
from fx_assets.sessions import session_bounds
from fx_monitoring.assets.drift import judge_model
from fx_monitoring.definitions import build_definitions
from fx_serving.client.bundle import BundleError, FeatureRef, LabelInfo, Manifest, schema_hash, write_manifest
from fx_serving.client.home import Stores
from fx_serving.client.prediction_log import FeedbackRecord, PredictionRecord
from fx_serving.dataplane.log import PredictionLogWriter

MODEL, SESSION, EARLIER = "move_60m", "2022-03-03", "2022-03-02"
NAMES = ("rsi_14", "realised_24", "hour_sin")  # the last is a clock feature: known beforehand
ROWS = 1200


def market(seed: int, rows: int = ROWS, wilder: float = 1.0, hour: float | None = None) -> np.ndarray:
    """Feature rows: an oscillator, a volatility, and the time of day."""
    rng = np.random.default_rng(seed)
    hours = rng.uniform(-1, 1, rows) if hour is None else np.full(rows, hour)
    return np.column_stack([rng.normal(50, 10, rows), wilder * rng.lognormal(-7, 0.4, rows), hours])


def make_bundle(stores: Stores, version: str = "1", reference: np.ndarray | None = None) -> Path:
    """What drift needs of an exported model: the manifest and the training sample."""
    folder = stores.bundles / MODEL / version
    folder.mkdir(parents=True)
    frame = pd.DataFrame(market(0, 4000) if reference is None else reference, columns=list(NAMES))
    frame.to_parquet(folder / "reference.parquet")
    features = [FeatureRef(name, "market_features") for name in NAMES]
    write_manifest(
        folder,
        Manifest(
            model=MODEL,
            version=version,
            engine="onnx",
            label=LabelInfo("large_move", 60, "move", "quiet"),
            instruments=["GBP_USD"],
            features=features,
            schema_hash=schema_hash(features),
            max_feature_age_s={"market_features": 7200},
            files={"model.onnx": "0" * 64, "golden.json": "0" * 64},
            created_at=datetime.now(UTC),
        ),
    )
    return folder


def ask(
    stores: Stores,
    rows: np.ndarray,
    session: str = SESSION,
    worker: str = "w0",
    ids: str = "p",
    version: str = "1",
    model: str = MODEL,
) -> None:
    """Log a prediction for each row, spread over the session, with the service's own writer."""
    start, end = session_bounds(session)
    writer = PredictionLogWriter(stores.predictions, worker)
    for number, row in enumerate(rows.tolist()):
        at = start + (end - start) * (number + 1) / len(rows)  # the last one at the session's very end
        record = PredictionRecord(
            prediction_id=f"{ids}{number}",
            request_id=None,
            logged_at=datetime.now(UTC),
            timestamp=at,
            instrument="GBP_USD",
            model=model,
            version=version,
            slot="blue",
            fell_back=False,
            prediction=0.5,
            label="move",
            features=dict(zip(NAMES, row, strict=True)),
            overridden=[],
            feature_time=at,
            feature_age_s=0.0,
            latency_us=100.0,
            rollout_id=None,
            key=None,
        )
        assert writer.add(msgspec.json.encode(record))
    assert writer.stop()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def stores(tmp_path) -> Stores:
    return Stores(tmp_path)


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(stores, instance) -> Run:
    """run(first, last, assets): materialize in this process."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    job = build_definitions(home=stores.home).resolve_implicit_global_asset_job_def()

    def materialize(
        first: str = SESSION, last: str | None = None, assets: tuple[str, ...] = ("predictions", "drift_report")
    ) -> dg.ExecuteInProcessResult:
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return job.get_subset(asset_selection={dg.AssetKey(a) for a in assets}).execute_in_process(
            instance=instance,
            partition_key=None if last else first,
            tags=tags if last else {},
            raise_on_error=False,
        )

    return materialize


def status(stores: Stores) -> dict:
    return json.loads((stores.drift / f"{MODEL}.json").read_bytes())


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(c for c in result.get_asset_check_evaluations() if c.check_name == name)


def test_definitions_say_what_follows_what():
    graph = build_definitions().resolve_asset_graph()
    predictions, drift = dg.AssetKey("predictions"), dg.AssetKey("drift_report")
    deployed = {dg.AssetKey([m, "deployment"]) for m, e in load_configuration().models.models.items() if e.deploy}
    assert graph.get(predictions).parent_keys == {*deployed, dg.AssetKey(["gold", "labels"])}
    assert graph.get(drift).parent_keys == {predictions}
    blocking = {key: graph.get(key).blocking for key in graph.asset_check_keys}
    assert [key for key, stops in blocking.items() if stops] == [dg.AssetCheckKey(predictions, "schema")]
    assert graph.get(predictions).backfill_policy == dg.BackfillPolicy.single_run()
    assert graph.get(drift).backfill_policy == dg.BackfillPolicy.multi_run(1)
    for key in (predictions, drift):
        assert graph.get(key).freshness_policy is not None
        assert graph.get(key).group_name == "monitoring"


def test_traffic_as_in_training_is_no_drift(stores, run):
    make_bundle(stores)
    ask(stores, market(1))
    result = run()
    assert result.success
    found = status(stores)
    assert (found["level"], found["session"], found["version"], found["rows"]) == ("none", SESSION, "1", ROWS)
    assert found["max_psi"] < 0.05
    assert check(result, "drift").passed
    stored = pd.read_parquet(stores.lake / f"monitoring/predictions/session={SESSION}/part.parquet")
    assert len(stored) == ROWS
    record = json.loads((stores.lake / f"monitoring/drift_report/session={SESSION}/record.json").read_bytes())
    assert record[MODEL]["level"] == "none"
    for artifact in ("html", "plot"):
        assert Path(record[MODEL][artifact]).stat().st_size > 1000


def test_a_wilder_market_is_critical_and_warns(stores, run):
    make_bundle(stores)
    ask(stores, market(1, wilder=2.5))
    result = run()
    assert result.success, "drift is news, not a failure"
    found = status(stores)
    assert found["level"] == "critical"
    assert found["features"]["realised_24"]["level"] == "critical"
    assert found["features"]["realised_24"]["psi"] == found["max_psi"] > 0.25
    assert found["features"]["rsi_14"]["level"] == "none"
    drift = check(result, "drift")
    assert not drift.passed
    assert drift.severity == dg.AssetCheckSeverity.WARN


def test_the_time_of_day_is_listed_but_does_not_alarm(stores, run):
    make_bundle(stores)
    ask(stores, market(1, hour=0.9))
    run()
    found = status(stores)
    assert found["features"]["hour_sin"]["psi"] > 0.25
    assert found["level"] == "none"


def test_a_busy_client_does_not_look_like_drift(stores, run):
    """The same 800 moments; one odd one is asked about 4,000 times."""
    make_bundle(stores)
    calm, odd = market(1, 800), np.repeat([[95.0, 0.02, 0.5]], 4000, axis=0)
    ask(stores, calm)
    run()
    alone = status(stores)
    ask(stores, odd, worker="w1", ids="busy")
    run()
    both = status(stores)
    assert both["rows"] == alone["rows"] + 1
    assert both["level"] == "none"
    assert both["max_psi"] == pytest.approx(alone["max_psi"], abs=0.01)


def test_too_few_rows_are_inconclusive_and_alarm_nobody(stores, run):
    make_bundle(stores)
    ask(stores, market(1, 60, wilder=3))
    result = run()
    found = status(stores)
    assert (found["level"], found["max_psi"], found["rows"]) == ("inconclusive", None, 60)
    assert check(result, "drift").passed


def test_a_session_without_predictions_has_no_verdict(stores, run):
    result = run()
    assert result.success
    assert not (stores.drift / f"{MODEL}.json").exists()
    assert check(result, "schema").passed
    made = {e.asset_key.path[-1]: e for e in result.get_asset_materialization_events()}
    assert made["drift_report"].materialization.metadata["levels"].value == "no predictions"


def test_an_older_session_does_not_replace_the_newest_verdict(stores, run):
    make_bundle(stores)
    ask(stores, market(1))
    ask(stores, market(2, wilder=2.5), session=EARLIER, worker="w1", ids="q")
    run(SESSION)
    newest = (stores.drift / f"{MODEL}.json").read_bytes()
    run(EARLIER)
    assert (stores.drift / f"{MODEL}.json").read_bytes() == newest
    kept = json.loads((stores.reports / "drift" / f"{MODEL}-1-{EARLIER}.json").read_bytes())
    assert (kept["session"], kept["level"]) == (EARLIER, "critical")
    run(SESSION)  # the same session again does
    again = status(stores)
    assert again["report_id"] != json.loads(newest)["report_id"]


def test_the_reference_is_that_of_the_version_which_answered_most(stores, run):
    make_bundle(stores, "1")
    make_bundle(stores, "2", reference=market(5, 4000, wilder=2.5))
    wild = market(1, wilder=2.5)
    ask(stores, wild[:1000], version="2")
    ask(stores, wild[1000:], version="1", worker="w1", ids="q")
    run()
    assert (status(stores)["version"], status(stores)["level"]) == ("2", "none")


def test_a_repeated_id_fails_the_check_and_stops_what_follows(stores, run):
    """The log's reader drops repetitions within a session; across the sessions of a run nothing else would."""
    make_bundle(stores)
    ask(stores, market(1, 600), session=EARLIER)
    ask(stores, market(2, 600), session=SESSION, worker="w1")  # the same ids
    result = run(EARLIER, SESSION, ("predictions",))
    failed = check(result, "schema")
    assert not failed.passed
    assert failed.metadata["problems"].value == "600 prediction ids repeated"
    assert failed.blocking


def test_a_range_makes_a_file_for_each_session(stores, run):
    ask(stores, market(1, 30), session=EARLIER)
    ask(stores, market(2, 40), session=SESSION, worker="w1", ids="q")
    assert run("2022-03-01", SESSION, ("predictions",)).success
    folder = stores.lake / "monitoring" / "predictions"
    rows = {p.parent.name: len(pd.read_parquet(p)) for p in folder.glob("*/part.parquet")}
    assert rows == {"session=2022-03-01": 0, f"session={EARLIER}": 30, f"session={SESSION}": 40}


def test_outcomes_are_joined_when_they_are_known(stores, run):
    ask(stores, market(1, 3))
    start, _ = session_bounds(SESSION)
    writer = PredictionLogWriter(stores.predictions, "w0")
    record = FeedbackRecord(
        feedback_id="f1",
        received_at=datetime.now(UTC),
        prediction_id="p1",
        instrument="GBP_USD",
        timestamp=start + timedelta(hours=8),
        model=MODEL,
        realized_direction=-1,
        realized_value=-0.002,
    )
    writer.add(msgspec.json.encode(record), "feedback")
    assert writer.stop()
    run(assets=("predictions",))
    frame = pd.read_parquet(stores.lake / f"monitoring/predictions/session={SESSION}/part.parquet")
    assert frame.set_index("prediction_id")["realized_direction"].dropna().to_dict() == {"p1": -1}


def frame_of(rows: np.ndarray, version: str, names: tuple[str, ...] = NAMES) -> pd.DataFrame:
    columns = {f"f_{name}": rows[:, i] for i, name in enumerate(names)}
    return pd.DataFrame({"version": [version] * len(rows), **columns})


def test_a_version_with_a_dot_keeps_its_artifacts_apart(stores):
    for version in ("1.2", "1.3"):
        make_bundle(stores, version)
        judge_model(stores, MODEL, SESSION, frame_of(market(1), version))
    names = {p.name for p in (stores.reports / "drift").iterdir()}
    assert {f"{MODEL}-{v}-{SESSION}.{kind}" for v in ("1.2", "1.3") for kind in ("html", "png")} == names


def test_what_is_missing_is_named(stores):
    with pytest.raises(BundleError, match="Export the model version again"):
        judge_model(stores, MODEL, SESSION, frame_of(market(1), "7"))
    folder = make_bundle(stores, "8")
    without = judge_model(stores, MODEL, SESSION, frame_of(market(1), "8", NAMES[:2]))
    assert (without["action"], without["decision"]["reasons"]) == ("block", ["missing hour_sin: 100%"])
    pd.DataFrame(market(0, 600)[:, :2], columns=list(NAMES[:2])).to_parquet(folder / "reference.parquet")
    with pytest.raises(StoreError, match=r"has no column hour_sin\. Export the model version again"):
        judge_model(stores, MODEL, SESSION, frame_of(market(1), "8"))
    for content in (b"PAR1", None):
        (folder / "reference.parquet").write_bytes(content) if content else (folder / "reference.parquet").unlink()
        with pytest.raises(StoreError, match=r"reference\.parquet: cannot be read: .* Export the model version again"):
            judge_model(stores, MODEL, SESSION, frame_of(market(1), "8"))


def test_a_model_without_its_bundle_does_not_keep_others_from_being_judged(stores, run):
    make_bundle(stores)
    ask(stores, market(1))
    ask(stores, market(2, 30), worker="w1", ids="q", version="9", model="direction_60m")
    result = run()
    assert result.success
    assert status(stores)["action"] == "log"
    judged = check(result, "drift")
    assert not judged.passed
    assert "direction_60m: " in str(judged.metadata["not_judged"])
    assert "Export the model version again" in str(judged.metadata["not_judged"])
