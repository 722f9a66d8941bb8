"""A home with something of everything that is watched, made by the code that makes it in earnest, and small.

home = MonitoredHome(folder)      # lake, online store, runs, drift, quality, trading, health, service levels, alerts
home.drift(level="critical")      # one thing changed; each method writes the healthy state by default
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration import load_configuration
from fx_assets.feature_store.encoding import PROJECT, Batch, cells, entity_key
from fx_assets.feature_store.sqlite_online import SqliteOnline
from fx_assets.lake import Lake
from fx_assets.schemas import views
from fx_assets.sessions import session_keys
from fx_assets.stack.environment import dagster_home
from fx_monitoring.alerts import Alert, Desk
from fx_monitoring.drift.status import write_status
from fx_monitoring.health.tiers import Colour, Tier, verdict, write_health
from fx_monitoring.slo.budget import Level
from fx_monitoring.slo.store import Document, State, write
from fx_monitoring.trading.ledger import Decision, Fill, Leg, Run, open_ledger
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2022, 3, 3, 18, 0, tzinfo=UTC)  # a Thursday: the market is open
CLOCK = "2022-03-03T18:00:00Z"
MODEL = "move_60m"
FEATURES = ("rsi_14", "atr_14", "sentiment")
ONE_RUN = [dg.AssetKey(["silver", "candles"]), dg.AssetKey(["gold", "features"]), dg.AssetKey("predictions")]


class MonitoredHome:
    """One home. `clock`: the data time at which it is healthy."""

    def __init__(self, folder: Path) -> None:
        self.stores = Stores(folder)
        self.configuration = load_configuration()
        self.symbols = sorted(self.configuration.instruments.instruments)
        self.lake = Lake(self.stores.lake)
        self.instance = dg.DagsterInstance.from_config(str(dagster_home(folder)))
        self.tables()
        self.online()
        self.runs()
        self.daemons()
        self.drift()
        self.quality()
        self.trading()
        self.health()
        self.levels()
        Desk(self.stores).fire(alert("RunFailed/ingest"))
        self.delivery()

    # ---- data -----------------------------------------------------------------------------------------------------

    def tables(self, until: datetime = NOW, missing: float = 0.02) -> None:
        """Hourly bars of the open market up to `until`; `missing`: share of rsi_14 in the newest session."""
        first = NOW - timedelta(days=8)
        hours = self._open_hours(first, NOW)
        times = hours[hours + pd.Timedelta("1h") <= pd.Timestamp(until)]
        rng = np.random.default_rng(3)
        rows = pd.DataFrame([(s, t) for t in times for s in self.symbols], columns=["instrument", "time"])
        rows["available_at"] = rows["time"] + pd.Timedelta("1h")
        for name in FEATURES:
            rows[name] = rng.normal(size=len(rows))
        keys = session_keys(pd.DatetimeIndex(rows["time"]), self.configuration.all_week)
        rows["session"] = keys
        newest = rows["session"] == rows["session"].max()
        rows.loc[rng.random(len(rows)) < np.where(newest, missing, 0.02), "rsi_14"] = np.nan
        for table in ("silver/candles", "gold/features", "silver/news_sentiment"):
            frames = {str(key): part.drop(columns="session") for key, part in rows.groupby("session")}
            if table == "silver/news_sentiment":
                frames = {key: part[["available_at"]] for key, part in frames.items()}
            for gone in set(self.lake.keys(table)) - set(frames):
                self.lake.path(table, gone).unlink()
            self.lake.write(table, frames)

    def _open_hours(self, start: datetime, end: datetime) -> pd.DatetimeIndex:
        from fx_assets.market_hours import market_hours

        return market_hours("fx").expected_bars(start, end, 60)

    def online(self, at: datetime = NOW) -> None:
        """Feast's tables with one row of each instrument, written by the guarded writer."""
        path = self.stores.home / "feast" / "online.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        store = SqliteOnline(path)
        with closing(sqlite3.connect(path)) as made, made:
            for view in views(self.configuration):
                made.execute(
                    f'CREATE TABLE IF NOT EXISTS "{PROJECT}_{view}" (entity_key BLOB, feature_name TEXT, value BLOB, '
                    "vector_value BLOB, event_ts timestamp, created_ts timestamp, "
                    "PRIMARY KEY (entity_key, feature_name))"
                )
        micros = int(at.timestamp() * 1_000_000)
        for view, names in views(self.configuration).items():
            values = cells(np.full((len(self.symbols), len(names)), 0.5))
            keys = [entity_key(symbol) for symbol in self.symbols]
            store.write(view, Batch(keys, [micros] * len(keys), names, values))

    # ---- runs -----------------------------------------------------------------------------------------------------

    def runs(self, valid: bool = True, good: bool = True, times: int = 1) -> list[str]:
        """Real runs of two small assets; returns their ids."""

        def spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
            return dg.AssetCheckSpec("schema", asset=key)

        @dg.multi_asset(
            specs=[dg.AssetSpec(key) for key in ONE_RUN], check_specs=[spec(key) for key in ONE_RUN], name="make"
        )
        def make() -> Iterator[Any]:
            if not good:
                raise dg.Failure("as it was asked to")
            for key in ONE_RUN:
                result = dg.AssetCheckResult(passed=valid, check_name="schema", asset_key=key)
                yield dg.MaterializeResult(asset_key=key, check_results=[result])

        return [dg.materialize([make], instance=self.instance, raise_on_error=False).run_id for _ in range(times)]

    def queue(self, count: int) -> list[str]:
        """Queued runs, which nobody starts."""
        from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

        origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("fx"), "fx"), "backfill")
        made = [
            dg.DagsterRun(
                job_name="backfill", run_id=f"queued-{n}", status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin
            )
            for n in range(count)
        ]
        for run in made:
            self.instance.run_storage.add_run(run)
        return [run.run_id for run in made]

    def forget(self, runs: list[str]) -> None:
        """Delete runs with their events."""
        for run in runs:
            self.instance.delete_run(run)

    def daemons(self, silent_s: float = 0.0) -> None:
        """A sign of life of every daemon, so long ago."""
        from dagster._daemon.types import DaemonHeartbeat

        at = datetime.now(UTC).timestamp() - silent_s
        for kind in self.instance.get_required_daemon_types():
            self.instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, "test", []))

    # ---- models ---------------------------------------------------------------------------------------------------

    def drift(self, level: str = "none", kl: float = 0.01, cause: str | None = None, model: str = MODEL) -> None:
        """A model's drift status."""
        psi = {"none": 0.03, "moderate": 0.2, "critical": 0.4}[level]
        status = {
            "format": 2, "model": model, "version": "1", "session": "2022-03-02", "level": level, "max_psi": psi,
            "computed_at": NOW.isoformat(), "rows": 2400, "cause": cause, "action": "none",
            "decision": {"band": level, "entered": None, "readings": 1, "reasons": []},
            "prediction": {"psi": 0.02, "ks": 0.03, "wasserstein": 0.01, "kl": kl, "level": "none"},
            "features": {name: {"psi": psi / (n + 1), "level": level} for n, name in enumerate(FEATURES)},
        }  # fmt: skip
        write_status(self.stores.drift / f"{model}.json", status)

    def quality(self, verdict: str = "good", brier: float = 0.21) -> None:
        """A model's quality in every window."""
        expected = {"accuracy": 0.64, "auc": 0.68, "brier": 0.215, "ece": 0.02}
        rows = [
            {
                "session": "2022-03-02", "model": MODEL, "version": version, "serving": version == "2",
                "window": window,
                "instrument": instrument, "n": 900, "accuracy": 0.63, "auc": 0.67, "brier": brier,
                "brier_low": brier - 0.004, "brier_high": brier + 0.004, "ece": 0.02, "expected": expected,
                "drop_relative": 0.01, "verdict": verdict,
            }
            for version in ("1", "2") for instrument in ("all", "GBP_USD") for window in ("session", "5d", "20d")
        ]  # fmt: skip
        content = {"format": 1, "model": MODEL, "session": "2022-03-02", "at": NOW.isoformat(), "rows": rows}
        atomic_write(self.stores.quality / f"{MODEL}.json", msgspec.json.encode(content))

    # ---- money ----------------------------------------------------------------------------------------------------

    def trading(self, loss: float = 0.0, signal_at: datetime = NOW - timedelta(minutes=20)) -> None:
        """A ledger of some days; `loss`: of the last closed trade, a share of its book; `signal_at`: the last one."""
        for ending in ("", "-wal", "-shm"):
            self.stores.trading_db.with_name(self.stores.trading_db.name + ending).unlink(missing_ok=True)
        with open_ledger(self.stores.trading_db) as ledger:
            for back in range(6, 0, -1):
                run = Run(f"run-{back}", NOW - timedelta(days=back))
                ledger.begin(run)
                _trade(ledger, run, run.began, 0.002 * (-1) ** back if back > 1 else -loss or 0.001)
                ledger.finish(run, run.began)
            held = Run("run-held", NOW - timedelta(minutes=90))
            ledger.begin(held)
            ledger.act(held, _decision(held.began, 1.0), True, 10)
            _fill(ledger, held, "entry", 1.3)
            last = Run("run-0", signal_at)
            ledger.begin(last)
            ledger.act(last, _decision(signal_at, 1.0), True, 10)
            ledger.finish(last, signal_at)

    def health(self, colour: Colour = "GREEN") -> None:
        """Both verdicts."""
        tier = Tier("drift", colour, 0.1, "0.25", "as it is")
        write_health(self.stores.health, verdict([tier], NOW))
        write_health(self.stores.infrastructure, verdict([Tier("disk", "GREEN", 0.5, "0.1", "room")], NOW))

    def levels(self, left: float = 0.8) -> None:
        """The service levels."""
        burn: dict[str, float | None] = {"1h": 0.5, "6h": 0.4}
        row = Level("data", 0.99, 0.998, 28, left, 400, burn, "ok", [])
        write(self.stores, State(), Document(NOW, [row]))

    def delivery(self, waited_s: float = 0.0) -> None:
        """A notice that waits, and one that was given up. `waited_s`: how long the first was tried in vain."""
        with closing(sqlite3.connect(self.stores.alerts_db, timeout=10)) as db, db:
            db.execute("DELETE FROM notices WHERE key = 'test'")
            now = datetime.now(UTC).timestamp()
            for state, at, attempts in (("failed", now, 5), ("waiting", now - waited_s, 3 if waited_s else 0)):
                db.execute(
                    "INSERT INTO notices (key, route, kind, severity, subject, body, link, created, due, attempts, "
                    "state) VALUES ('test', 'chat', 'fired', 'warning', 's', 'b', '', ?, ?, ?, ?)",
                    (at, at, attempts, state),
                )


def alert(key: str) -> Alert:
    """An alert for the desk."""
    return Alert(key=key, severity="warning", owner="data", title="t", detail="d", link="", remedy="r")


def _decision(bar: datetime, position: float) -> Decision:
    due = bar + timedelta(hours=1)
    return Decision(
        model=MODEL, instrument="GBP_USD", bar=bar, at=bar + timedelta(seconds=20), version="1", source="service",
        prediction=0.7, threshold=0.6, position=position, entry_due=due, exit_due=due + timedelta(hours=1),
        bar_minutes=60,
    )  # fmt: skip


def _trade(ledger: Any, run: Run, bar: datetime, gain: float) -> None:
    """One trade that was opened and closed at quotes that make this gain."""
    ledger.act(run, _decision(bar, 1.0), True, 10)
    _fill(ledger, run, "entry", 1.3)
    _fill(ledger, run, "exit", 1.3 * (1 + gain))


def _fill(ledger: Any, run: Run, leg: Leg, mid: float) -> None:
    """Execute a leg of the only order there is."""
    order = ledger.alive()[0]
    due = order.entry_due if leg == "entry" else order.exit_due
    units = 1.0 if leg == "entry" else -1.0
    ledger.fill(run, Fill(order, leg, due, mid, mid, 0.00006, "typical", units, 0.00005), due)
