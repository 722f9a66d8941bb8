"""The tables of ingested predictions, and what a batch of records does to them. `?` marks a value in SQL.

Besides the records themselves there are two tables small enough to be asked often: `decisions` has one row for each
time a version decided about an instrument, however many requests asked for it (a decision is known by the newest bar
it saw), and `outcomes` says what really happened then. Requests that set features themselves decide nothing.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from fx_serving.client.prediction_db import FEEDBACK, PREDICTION, micros, pack
from fx_serving.client.prediction_records import FeedbackRecord, PredictionRecord, Record, ShadowRecord
from fx_serving.state.rows import plain

VERSION = 1
#: Runs one statement and gives its rows.
Run = Callable[..., list[tuple]]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS feature_sets (id BIGINT PRIMARY KEY, names TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS predictions (id TEXT PRIMARY KEY, request_id TEXT, logged_at BIGINT NOT NULL, "
    "timestamp BIGINT NOT NULL, instrument TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, "
    "slot TEXT NOT NULL, fell_back INTEGER NOT NULL, prediction DOUBLE PRECISION NOT NULL, label TEXT NOT NULL, "
    "feature_set BIGINT NOT NULL, features {blob} NOT NULL, overridden TEXT NOT NULL, feature_time BIGINT, "
    "feature_age_s DOUBLE PRECISION, latency_us DOUBLE PRECISION NOT NULL, rollout_id TEXT, key TEXT, "
    "outlier_score DOUBLE PRECISION, route TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS predictions_logged ON predictions (logged_at)",
    "CREATE INDEX IF NOT EXISTS predictions_time ON predictions (timestamp, instrument)",
    "CREATE TABLE IF NOT EXISTS shadows (prediction_id TEXT NOT NULL, rollout_id TEXT NOT NULL, "
    "logged_at BIGINT NOT NULL, timestamp BIGINT NOT NULL, instrument TEXT NOT NULL, model TEXT NOT NULL, "
    "version TEXT NOT NULL, prediction DOUBLE PRECISION, failed TEXT, service_us DOUBLE PRECISION NOT NULL, "
    "feature_time BIGINT, PRIMARY KEY (prediction_id, rollout_id))",
    "CREATE INDEX IF NOT EXISTS shadows_logged ON shadows (logged_at)",
    "CREATE TABLE IF NOT EXISTS feedback (id TEXT PRIMARY KEY, received_at BIGINT NOT NULL, prediction_id TEXT, "
    "instrument TEXT NOT NULL, timestamp BIGINT NOT NULL, model TEXT, direction INTEGER, value DOUBLE PRECISION, "
    "open INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS feedback_received ON feedback (received_at)",
    "CREATE INDEX IF NOT EXISTS feedback_open ON feedback (received_at) WHERE open = 1",
    "CREATE TABLE IF NOT EXISTS decisions (model TEXT NOT NULL, version TEXT NOT NULL, slot TEXT NOT NULL, "
    "instrument TEXT NOT NULL, at BIGINT NOT NULL, prediction DOUBLE PRECISION NOT NULL, first_at BIGINT NOT NULL, "
    "last_at BIGINT NOT NULL, PRIMARY KEY (model, version, slot, instrument, at))",
    "CREATE TABLE IF NOT EXISTS outcomes (model TEXT NOT NULL, instrument TEXT NOT NULL, at BIGINT NOT NULL, "
    "direction INTEGER, value DOUBLE PRECISION, received_at BIGINT NOT NULL, PRIMARY KEY (model, instrument, at))",
    'CREATE TABLE IF NOT EXISTS ingested (name TEXT NOT NULL, first TEXT NOT NULL, "offset" BIGINT NOT NULL, '
    "records BIGINT NOT NULL, skipped BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (name, first))",
    "CREATE TABLE IF NOT EXISTS forgotten (id BIGINT PRIMARY KEY, at BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"INSERT INTO meta VALUES ('predictions', '{VERSION}') ON CONFLICT (key) DO UPDATE SET value = excluded.value",
)


class DatabaseError(Exception):
    """The database cannot be used now (try again later); in words, never with an address."""


class Refused(Exception):
    """The database takes the connection but not these rows."""


class Database(ABC):
    """What both databases offer."""

    #: Behind a SELECT: the row stays as it is until the transaction ends.
    locking = ""

    @abstractmethod
    def transaction(self) -> Any:
        """Context manager giving Run: all or nothing. Raises DatabaseError, Refused."""

    @abstractmethod
    def insert(self, run: Run, head: str, rows: Sequence[tuple], rest: str) -> None:
        """Many rows by one INSERT: `head` VALUES ... `rest`."""

    @abstractmethod
    def tidy(self) -> None:
        """Give some room of deleted rows back."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def save(database: Database, run: Run, records: Iterable[Record]) -> None:
    """The rows of a batch, of any kinds. A record that is there already changes nothing, unless it was logged
    earlier: then it takes the other's place, so that the order of ingestion does not matter.
    """
    predictions: dict[str, PredictionRecord] = {}
    shadows: dict[tuple[str, str], ShadowRecord] = {}
    feedback: dict[str, FeedbackRecord] = {}
    for record in records:
        if isinstance(record, PredictionRecord):
            _keep_first(predictions, record.prediction_id, record)
        elif isinstance(record, ShadowRecord):
            _keep_first(shadows, (record.prediction_id, record.rollout_id), record)
        else:
            feedback.setdefault(record.feedback_id, record)
    if predictions:
        _save_predictions(database, run, list(predictions.values()))
    if shadows:
        _save_shadows(database, run, list(shadows.values()))
    if feedback:
        rows = [_feedback_row(record) for record in feedback.values()]
        database.insert(run, f"INSERT INTO feedback ({FEEDBACK}, open)", rows, "ON CONFLICT DO NOTHING")


def _keep_first(held: dict, key: Any, record: Any) -> None:
    known = held.get(key)
    if known is None or record.logged_at < known.logged_at:
        held[key] = record


def _save_predictions(database: Database, run: Run, records: list[PredictionRecord]) -> None:
    sets: dict[tuple[str, ...], int] = {}
    rows = []
    for record in records:
        names = tuple(record.features)
        number = sets.get(names)
        if number is None:
            number = sets[names] = _set_number(names)
        rows.append(_prediction_row(record, number))
    named = [(number, plain(msgspec.json.encode(names).decode())) for names, number in sets.items()]
    database.insert(run, "INSERT INTO feature_sets (id, names)", named, "ON CONFLICT DO NOTHING")
    _insert_or_earlier(database, run, "predictions", PREDICTION, "id", rows)
    _save_decisions(database, run, [(r, r.slot, r.prediction) for r in records if not r.overridden])


def _set_number(names: tuple[str, ...]) -> int:
    """Known by its content, so that several writers need not agree on a counter."""
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(names)).digest()[:8], "big", signed=True)


def _prediction_row(record: PredictionRecord, feature_set: int) -> tuple:
    return (
        plain(record.prediction_id),
        None if record.request_id is None else plain(record.request_id),
        micros(record.logged_at),
        micros(record.timestamp),
        plain(record.instrument),
        plain(record.model),
        plain(record.version),
        record.slot,
        int(record.fell_back),
        record.prediction,
        plain(record.label),
        feature_set,
        pack(record.features.values()),
        plain(msgspec.json.encode(record.overridden).decode()),
        None if record.feature_time is None else micros(record.feature_time),
        record.feature_age_s,
        record.latency_us,
        record.rollout_id,
        None if record.key is None else plain(record.key),
        record.outlier_score,
        record.route,
    )


def _feedback_row(record: FeedbackRecord) -> tuple:
    return (
        record.feedback_id,
        micros(record.received_at),
        record.prediction_id,
        plain(record.instrument),
        micros(record.timestamp),
        None if record.model is None else plain(record.model),
        record.realized_direction,
        record.realized_value,
        1,
    )


def _save_shadows(database: Database, run: Run, records: list[ShadowRecord]) -> None:
    columns = (
        "prediction_id, rollout_id, logged_at, timestamp, instrument, model, version, prediction, failed, service_us, "
        "feature_time"
    )
    rows = [
        (
            plain(r.prediction_id),
            r.rollout_id,
            micros(r.logged_at),
            micros(r.timestamp),
            plain(r.instrument),
            plain(r.model),
            plain(r.version),
            r.prediction,
            r.failed,
            r.service_us,
            None if r.feature_time is None else micros(r.feature_time),
        )
        for r in records
    ]
    database.insert(run, f"INSERT INTO shadows ({columns})", rows, "ON CONFLICT DO NOTHING")
    made = [(r, "shadow", r.prediction) for r in records if r.prediction is not None and not r.overridden]
    _save_decisions(database, run, made)


def _save_decisions(
    database: Database, run: Run, made: Sequence[tuple[PredictionRecord | ShadowRecord, str, float]]
) -> None:
    held: dict[tuple, tuple[float, int, int]] = {}
    for record, slot, prediction in made:
        if not record.instrument:  # a bare row of numbers
            continue
        at, when = micros(record.feature_time or record.timestamp), micros(record.logged_at)
        key = (plain(record.model), plain(record.version), slot, plain(record.instrument), at)
        known = held.get(key)
        if known is None:
            held[key] = (prediction, when, when)
        elif when < known[1]:
            held[key] = (prediction, when, known[2])
        else:
            held[key] = (known[0], known[1], max(known[2], when))
    if held:
        database.insert(
            run,
            "INSERT INTO decisions (model, version, slot, instrument, at, prediction, first_at, last_at)",
            [(*key, *value) for key, value in sorted(held.items())],
            "ON CONFLICT (model, version, slot, instrument, at) DO UPDATE SET "
            "prediction = CASE WHEN excluded.first_at < decisions.first_at THEN excluded.prediction "
            "ELSE decisions.prediction END, "
            "first_at = CASE WHEN excluded.first_at < decisions.first_at THEN excluded.first_at "
            "ELSE decisions.first_at END, "
            "last_at = CASE WHEN excluded.last_at > decisions.last_at THEN excluded.last_at ELSE decisions.last_at END",
        )


def _insert_or_earlier(database: Database, run: Run, table: str, columns: str, key: str, rows: list[tuple]) -> None:
    others = [name for name in columns.split(", ") if name != key]
    change = ", ".join(f"{name} = excluded.{name}" for name in others)
    database.insert(
        run,
        f"INSERT INTO {table} ({columns})",
        rows,
        f"ON CONFLICT ({key}) DO UPDATE SET {change} WHERE excluded.logged_at < {table}.logged_at",
    )


def settle(run: Run, now: int, caught_up: bool, limit: int = 2000) -> int:
    """Tie feedback to the decisions it speaks of; returns how much was looked at.

    Feedback may be ingested before its prediction: what finds none is tried again, for a minute after everything
    there is was ingested.
    """
    found = run(
        "SELECT id, received_at, prediction_id, instrument, timestamp, model, direction, value FROM feedback "
        "WHERE open = 1 ORDER BY received_at LIMIT ?",
        (limit,),
    )
    for id, received, prediction_id, instrument, timestamp, model, direction, value in found:
        if prediction_id is not None:
            where, values = "id = ?", (prediction_id,)
        else:
            where, values = "timestamp = ? AND instrument = ?", (timestamp, instrument)
            if model is not None:
                where, values = f"{where} AND model = ?", (*values, model)
        decision = "SELECT DISTINCT model, instrument, COALESCE(feature_time, timestamp) FROM predictions"
        decided = run(f"{decision} WHERE {where}", values)
        for key in decided:
            run(
                "INSERT INTO outcomes (model, instrument, at, direction, value, received_at) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (model, instrument, at) DO UPDATE SET direction = excluded.direction, "
                "value = excluded.value, received_at = excluded.received_at "
                "WHERE excluded.received_at >= outcomes.received_at",
                (*key, direction, value, received),
            )
        if decided or (caught_up and now - received > 60_000_000):
            run("UPDATE feedback SET open = 0 WHERE id = ?", (id,))
    return len(found)
