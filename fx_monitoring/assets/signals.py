"""signal_validation: a session's signals against what happened, by the service's answers, by batch inference, and by
what the paper trader really did.

And the job `signal_validation_nightly`, which closes the books of the session that has ended.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pandas as pd

from fx_assets.configuration import Model
from fx_assets.errors import StoreError
from fx_assets.labels.columns import both_sides
from fx_assets.lake import Lake
from fx_assets.models import batch
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.sessions import previous_session, session_bounds
from fx_assets.strategy import recorded
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.assets.quality import OWN
from fx_monitoring.quality import rolling, signals
from fx_monitoring.quality.outcomes import decided, lacks
from fx_monitoring.quality.rows import ALL
from fx_monitoring.trading.session import decided as traded
from fx_serving.client.clock import now

JOB = "signal_validation_nightly"
SERVED, BATCH, PAPER = "service", "batch", "paper"
# Sessions of candles that the spread is taken from where no month's costs were made.
SPREAD_SESSIONS = 5


def jobs(shared: Shared) -> list[Any]:
    """The job of the night."""
    selection = [dg.AssetKey(name) for name in (*OWN, "signal_validation", "data_quality_report")]
    what = "The session that has ended: its answers with all outcomes, their quality, its signals, and its data."
    return [dg.define_asset_job(JOB, selection=selection, description=what)]


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The asset."""

    # No return annotation where a value is returned: Dagster reads MaterializeResult there as "no value".
    @define_asset(
        deps=["predictions", dg.AssetDep(["gold", "labels"])],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        check_specs=[
            dg.AssetCheckSpec(
                "settled",
                asset="signal_validation",
                description="Every answer's outcome is known; a warning while the market has not told all of them.",
            )
        ],
        **shared.common(
            "What acting on a session's answers would have earned after costs, by instrument, beside what paper "
            "trading earned; hits of both.",
            {"python"},
        ),
    )
    def signal_validation(context: dg.AssetExecutionContext, home: HomeResource):
        session, at = context.partition_key, now()
        rows, notes = session_rows(shared, home.lake, session, at)
        whole = [row for row in rows if row["instrument"] == ALL]
        waiting = [f"{r['model']}, {r['source']}: {r['pending']}" for r in whole if r["pending"]]
        return dg.MaterializeResult(
            value={"session": session, "at": at.isoformat(), "rows": rows, "notes": notes},
            metadata={
                "signals": dg.MetadataValue.md(signals.signal_table(rows)),
                "notes": listed(notes),
                **{f"net_{source}": _sum(whole, source, "net") for source in (SERVED, BATCH, PAPER)},
                **{f"signals_{source}": _sum(whole, source, "signals") for source in (SERVED, BATCH, PAPER)},
                **({"value": embed(lambda axes: _draw(axes, rows))} if rows else {}),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="settled",
                    passed=not waiting,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"not_known_yet": listed(waiting)},
                )
            ],
        )

    return [signal_validation]


def session_rows(shared: Shared, lake: Lake, session: str, at: datetime) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows of every deployed model and source that answered or traded, why others have none)."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    following = next((key for key in shared.partitions.get_partition_keys() if key > session), session)
    # A session's first answers speak of the bar that closed as it began, its last ones are entered in the next.
    keys = [previous_session(session, shared.configuration.all_week), session, following]
    labels = lake.read("gold/labels", keys)
    sides = lake.read("gold/features", keys, ["instrument", "available_at", signals.LAST_MOVE])
    if not any(len(frame) for frame in labels.values()) or not sides:
        return rows, [f"gold/labels or gold/features is not made for {session}"]
    table = pd.concat([frame for frame in labels.values() if len(frame)], ignore_index=True)
    moves = pd.concat(sides.values(), ignore_index=True).rename(columns={"available_at": "decision_time"})
    for model in shared.deployed:
        entry = shared.configuration.models.models[model]
        if both_sides(entry.label) or lacks(table, entry.label):
            notes.append(f"{model}: gold/labels of {session} does not hold what it foretells")
            continue
        known = decided(table, entry.label, at)
        paper, why = _traded(shared, model, session, at, known)
        rows += paper
        notes += why
        charged = _costs(shared, lake, session, entry, model)
        if charged is None:
            notes.append(f"{model}: silver/candles of {session} are not made, so that trading has no price")
            continue
        for source, answers in (
            (SERVED, _served(lake, model, session, known)),
            (BATCH, _batch(lake, model, session, known)),
        ):
            if answers.empty:
                notes.append(f"{model}: no answers by {source}")
                continue
            symbols = shared.configuration.model_instruments(model)
            length = shared.configuration.instruments.instruments[symbols[0]].minutes
            given = signals.Session(model, source, entry, answers, known, moves, charged, length, at)
            rows += signals.validate(given)
    return rows, notes


def _sum(rows: Sequence[dict[str, Any]], source: str, name: str) -> float:
    """Over the models; of one source, since several act on the same forecasts."""
    return sum(row[name] for row in rows if row["source"] == source)


def _served(lake: Lake, model: str, session: str, known: pd.DataFrame) -> pd.DataFrame:
    """What the service answered, whichever version did: the first answer of each bar."""
    found = lake.read(rolling.TABLE, [session], rolling.READ).get(session)
    if found is None or not set(rolling.READ) <= set(found.columns):
        return pd.DataFrame()
    own = found[found["model"] == model].sort_values("timestamp", kind="stable")
    return _with_truth(own, known)


def _batch(lake: Lake, model: str, session: str, known: pd.DataFrame) -> pd.DataFrame:
    """What batch inference answered."""
    found = lake.read(batch.table(model), [session]).get(session)
    return pd.DataFrame() if found is None else _with_truth(found, known)


def _traded(
    shared: Shared, model: str, session: str, at: datetime, known: pd.DataFrame
) -> tuple[list[dict[str, Any]], list[str]]:
    """What paper trading decided on the session's bars, and earned by it; or why that is not known."""
    try:
        found = traded(shared.stores.trading_db, model, session, at)
    except StoreError as error:
        return [], [f"{model}: {error}"]
    if found.empty:
        return [], [f"{model}: no decision by {PAPER} trading"]
    truth = known[["instrument", "decision_time", "label_end", "outcome"]]
    return signals.acted(model, PAPER, found.merge(truth, on=["instrument", "decision_time"], how="left"), at), []


def _with_truth(answers: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """One answer a bar with the label's outcome: signals are judged by the market, not by what clients reported."""
    one = answers.drop_duplicates(["instrument", "decision_time"])[["instrument", "decision_time", "prediction"]]
    one = one.astype({"instrument": object})
    return one.merge(known[["instrument", "decision_time", "label_end", "outcome"]], on=["instrument", "decision_time"])


def _costs(shared: Shared, lake: Lake, session: str, entry: Model, model: str) -> pd.DataFrame | None:
    """What trading cost: the newest month's costs before the session, else the spreads of its own last sessions."""
    keys = rolling.window_keys(lake.keys("silver/candles"), session, SPREAD_SESSIONS)
    if not keys:
        return None
    symbols = list(shared.configuration.model_instruments(model))
    candles = recorded.quotes(lake, session_bounds(keys[0])[0], session_bounds(session)[1], symbols)
    own = recorded.cost_table(shared.configuration, candles)
    return recorded.current_costs(lake, session, own)[0]


def _draw(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Net value by instrument, one colour for each model and source."""
    own = [row for row in rows if row["instrument"] != ALL]
    groups = list(dict.fromkeys((row["model"], row["source"]) for row in own))
    symbols = sorted({row["instrument"] for row in own})
    width = 0.8 / max(1, len(groups))
    for number, group in enumerate(groups):
        net = {row["instrument"]: 1e4 * row["net"] for row in own if (row["model"], row["source"]) == group}
        place = [n + width * number for n in range(len(symbols))]
        axes.bar(place, [net.get(symbol, 0.0) for symbol in symbols], width, label=" ".join(group))
    axes.set_xticks([n + 0.4 - width / 2 for n in range(len(symbols))], symbols)
    axes.axhline(0.0, color="grey", linewidth=0.5)
    axes.set_title("Net of spread and swap (basis points of the instrument's capital)", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)
