"""The ingested predictions and feedback, read-only: predictions.db beside the segments, or the PostgreSQL of
FX_STATE_URL. The tables are made and filled by fx_serving.ingest.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client.prediction_records import FeedbackRecord, PredictionRecord, ShadowRecord
from fx_serving.client.state_address import StateAddressError, connect, words

NAME = "predictions.db"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The columns of the tables, in the order rows are written and read.
PREDICTION = (
    "id, request_id, logged_at, timestamp, instrument, model, version, slot, fell_back, prediction, label, "
    "feature_set, features, overridden, feature_time, feature_age_s, latency_us, rollout_id, key, outlier_score, route"
)
FEEDBACK = "id, received_at, prediction_id, instrument, timestamp, model, direction, value"
SHADOW = (
    "prediction_id, rollout_id, logged_at, timestamp, instrument, model, version, prediction, failed, service_us, "
    "feature_time"
)


class PredictionLogError(Exception):
    """The ingested predictions are there but cannot be read now; in words, never with an address."""


def micros(moment: datetime) -> int:
    """A time as the tables hold it: microseconds since 1970, exact."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(count: int) -> datetime:
    """`micros` back."""
    return _EPOCH + timedelta(microseconds=count)


def id_hash(id: str) -> int:
    """What is kept of the id of a deleted row."""
    return int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big", signed=True)


def pack(values: Any) -> bytes:
    """Feature values as little-endian float32: what the model was given."""
    packed = array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(content: bytes) -> list[float]:
    """`pack` back."""
    values = array("f")
    values.frombytes(bytes(content))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


class PredictionDb:
    """An open database, as it was at one moment."""

    def __init__(self, ask: Callable[..., Iterator[tuple]]) -> None:
        self.ask = ask
        self._sets: dict[int, list[str]] = {}

    def predictions(self, since: datetime | None, until: datetime | None) -> Iterator[PredictionRecord]:
        """Those with since <= decision time < until, in the order they were logged."""
        where, values = _between(since, until)
        for row in self.ask(f"SELECT {PREDICTION} FROM predictions{where} ORDER BY logged_at", values):
            yield self._prediction(row)

    def prediction(self, id: str) -> PredictionRecord | None:
        """One by its id."""
        for row in self.ask(f"SELECT {PREDICTION} FROM predictions WHERE id = ?", (id,)):
            return self._prediction(row)
        return None

    def logged_before(self, id: str, moment: datetime) -> bool:
        """Whether the prediction of this id is there, logged at that moment or before it."""
        sql = "SELECT 1 FROM predictions WHERE id = ? AND logged_at <= ?"
        return any(True for _ in self.ask(sql, (id, micros(moment))))

    def count(self, instrument: str, timestamp: datetime, model: str | None) -> int:
        """How many speak of an instrument at a decision time."""
        values: tuple = (instrument, micros(timestamp))
        if model is not None:
            values = (*values, model)
        of_model = "" if model is None else " AND model = ?"
        sql = f"SELECT count(*) FROM predictions WHERE instrument = ? AND timestamp = ?{of_model}"
        return next(self.ask(sql, values))[0]

    def forgotten(self, id: str) -> datetime | None:
        """When the prediction of this id was deleted; None if it was not."""
        for (at,) in self.ask("SELECT at FROM forgotten WHERE id = ?", (id_hash(id),)):
            return moment(at)
        return None

    def feedback(
        self, since: datetime | None = None, until: datetime | None = None, received: datetime | None = None
    ) -> Iterator[FeedbackRecord]:
        """On decisions with since <= decision time < until, received after `received`; in the order received."""
        where, values = _between(since, until)
        if received is not None:
            where, values = f"{where}{' AND' if where else ' WHERE'} received_at > ?", (*values, micros(received))
        for row in self.ask(f"SELECT {FEEDBACK} FROM feedback{where} ORDER BY received_at", values):
            yield FeedbackRecord(
                feedback_id=row[0],
                received_at=moment(row[1]),
                prediction_id=row[2],
                instrument=row[3],
                timestamp=moment(row[4]),
                model=row[5],
                realized_direction=row[6],
                realized_value=row[7],
            )

    def shadows(self, since: datetime | None, until: datetime | None) -> Iterator[ShadowRecord]:
        """Those with since <= decision time < until, in the order they were logged."""
        where, values = _between(since, until)
        for row in self.ask(f"SELECT {SHADOW} FROM shadows{where} ORDER BY logged_at", values):
            yield ShadowRecord(
                prediction_id=row[0],
                rollout_id=row[1],
                logged_at=moment(row[2]),
                timestamp=moment(row[3]),
                instrument=row[4],
                model=row[5],
                version=row[6],
                prediction=row[7],
                failed=row[8],
                service_us=row[9],
                feature_time=None if row[10] is None else moment(row[10]),
            )

    def knows_feedback(self, id: str) -> bool:
        """Whether this feedback is there."""
        return any(True for _ in self.ask("SELECT 1 FROM feedback WHERE id = ?", (id,)))

    def offsets(self) -> dict[tuple[str, str], int]:
        """(segment's name, first_line_hash) -> how many bytes of it are in the tables."""
        return {(name, first): offset for name, first, offset in self.ask('SELECT name, first, "offset" FROM ingested')}

    def _prediction(self, row: tuple) -> PredictionRecord:
        names = self._sets.get(row[11])
        if names is None:
            names = msgspec.json.decode(next(self.ask("SELECT names FROM feature_sets WHERE id = ?", (row[11],)))[0])
            self._sets[row[11]] = names
        return PredictionRecord(
            prediction_id=row[0],
            request_id=row[1],
            logged_at=moment(row[2]),
            timestamp=moment(row[3]),
            instrument=row[4],
            model=row[5],
            version=row[6],
            slot=row[7],
            fell_back=bool(row[8]),
            prediction=row[9],
            label=row[10],
            features=dict(zip(names, unpack(row[12]), strict=True)),
            overridden=msgspec.json.decode(row[13]),
            feature_time=None if row[14] is None else moment(row[14]),
            feature_age_s=row[15],
            latency_us=row[16],
            rollout_id=row[17],
            key=row[18],
            outlier_score=row[19],
            route=row[20],
        )


def _between(since: datetime | None, until: datetime | None) -> tuple[str, tuple]:
    parts = [(text, micros(at)) for text, at in (("timestamp >= ?", since), ("timestamp < ?", until)) if at is not None]
    return (" WHERE " + " AND ".join(text for text, _ in parts) if parts else ""), tuple(at for _, at in parts)


@contextmanager
def reading(folder: Path) -> Iterator[PredictionDb | None]:
    """The database of a prediction log, at one moment; None where nothing was ever ingested. Raises
    PredictionLogError.
    """
    address = os.environ.get("FX_STATE_URL", "").strip()
    path = Path(folder) / NAME
    try:
        if address:
            with _postgres(address) as database:
                yield database
        elif not path.is_file():
            yield None
        else:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
                db.execute("BEGIN")
                there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ingested'").fetchone()
                yield PredictionDb(lambda sql, values=(): db.execute(sql, values)) if there else None
    except sqlite3.Error as error:
        raise PredictionLogError(
            f"{path}: cannot be read: {error}. Try again. Move a damaged file away: what the segments still hold is "
            "then ingested anew."
        ) from None
    except StateAddressError as error:
        raise PredictionLogError(f"predictions cannot be read: {error}") from None


@contextmanager
def _postgres(address: str) -> Iterator[PredictionDb | None]:
    connection = connect(address, readonly=True, statement_s=300)
    import psycopg2  # connect() has told in words where it is missing

    number = 0

    def ask(sql: str, values: tuple = ()) -> Iterator[tuple]:
        nonlocal number
        number += 1
        with connection.cursor(name=f"fx_{number}") as cursor:  # rows stay on the server until they are asked for
            cursor.itersize = 2000
            cursor.execute(sql.replace("?", "%s"), values)
            yield from cursor

    try:
        connection.set_session(autocommit=False, readonly=True, isolation_level="REPEATABLE READ")
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('ingested') IS NOT NULL")
            there = cursor.fetchone()[0]
        yield PredictionDb(ask) if there else None
    except psycopg2.Error as error:
        raise StateAddressError(words(error)) from None
    finally:
        connection.close()
