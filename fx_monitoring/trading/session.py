"""What paper trading did with the bars of one session: its decisions, and what became of their orders."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from fx_assets.sessions import session_bounds
from fx_monitoring.trading.ledger import micros, reading

_DECIDED = """
SELECT d.instrument, d.bar AS decision_time, d.prediction, d.position,
       o.id IS NOT NULL AND o.state != 'expired' AND x.mid IS NULL AS waits,
       o.position * (x.mid / e.mid - 1.0) AS gross, e.cost + x.cost + x.swap AS cost
FROM decisions d
LEFT JOIN orders o ON o.model = d.model AND o.instrument = d.instrument AND o.bar = d.bar
LEFT JOIN fills e ON e.order_id = o.id AND e.leg = 'entry' AND e.quote_time <= :at
LEFT JOIN fills x ON x.order_id = o.id AND x.leg = 'exit' AND x.quote_time <= :at
WHERE d.model = :model AND d.bar > :start AND d.bar <= :end AND d.at <= :at ORDER BY d.instrument, d.bar
"""


def decided(path: Path, model: str, session: str, at: datetime) -> pd.DataFrame:
    """A row for each bar of the session that was decided on by `at`; none where nothing was ever traded.

    Columns: instrument, decision_time (the bar's close), prediction, position (-1 to 1), waits (whether its order is
    not closed yet), gross and cost (spread and swap) as shares of the instrument's capital, missing without a closed
    order. Raises StoreError for a damaged trading.db.
    """
    start, end = session_bounds(session)
    asked = {"model": model, "start": micros(start), "end": micros(end), "at": micros(at)}
    with reading(path) as connection:
        if connection is None:
            return pd.DataFrame()
        found = pd.read_sql_query(_DECIDED, connection, params=asked)
    times = pd.to_datetime(found["decision_time"], unit="us", utc=True).astype("datetime64[us, UTC]")
    numbers = {name: "float64" for name in ("prediction", "position", "gross", "cost")}
    return found.assign(decision_time=times, waits=found["waits"].astype(bool)).astype(numbers)
