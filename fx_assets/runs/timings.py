"""How long steps took in earlier runs of a home, and what is expected of the next ones.

<home>/runs/timings.json   {"silver/candles": [[partitions, seconds], ...], "(run)": ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from fx_serving.client.files import atomic_write

RUN = "(run)"  # what a run takes beside its steps: by materializations
START = "(start)"  # what a process takes before its first run
KEPT = 12  # newest measurements of a table

Measurement = tuple[int, float]  # partitions, seconds
Timings = dict[str, list[Measurement]]

# Before anything was measured: about what the sample takes on two shared cores.
_STEP_S, _PARTITION_S, _BAR_S = 0.3, 0.03, 4e-6
_FETCH_S = 0.1  # an instrument's session that is asked of a server
_RUN_S, _START_S = 1.0, 4.0


def path(home: Path) -> Path:
    return home / "runs" / "timings.json"


def read(home: Path) -> Timings:
    """What was measured; nothing where the file is not there or not ours (it is only good for estimates)."""
    try:
        return msgspec.json.decode(path(home).read_bytes(), type=Timings)
    except (FileNotFoundError, ValueError):
        return {}


def record(home: Path, measured: Mapping[str, Measurement]) -> None:
    """Add one run's measurements."""
    known = read(home)
    for table, measurement in measured.items():
        known[table] = [*known.get(table, []), measurement][-KEPT:]
    atomic_write(path(home), msgspec.json.encode(known), durable=False)


def expected(measured: Sequence[Measurement], partitions: int) -> float:
    """Seconds for a step of so many partitions: the straight line a + b n through what was measured, a and b >= 0.

    Measured seconds are weighted by 1 / partitions, so that one long run does not hide how short ones behave.
    measured must not be empty.
    """
    import numpy as np

    n, s = np.array(measured, dtype=float).T
    weight = 1 / np.maximum(n, 1)
    mean_n, mean_s = np.average(n, weights=weight), np.average(s, weights=weight)
    spread = np.average((n - mean_n) ** 2, weights=weight)
    slope = 0.0 if spread == 0 else float(np.average((n - mean_n) * (s - mean_s), weights=weight) / spread)
    level = float(mean_s - slope * mean_n)
    if spread == 0 or slope <= 0 or level < 0:  # all of one length, or noise: through the origin
        return float(partitions * s.sum() / max(n.sum(), 1))
    return level + slope * partitions


def guess(table: str, partitions: int, bars: int, asked: int) -> float:
    """Seconds for a step before there is a measurement. bars: of all instruments, in a session. asked: instruments
    that a server is asked for.
    """
    if table in (RUN, START):
        return _RUN_S if table == RUN else _START_S
    fetching = _FETCH_S * asked if table.startswith("bronze/") else 0.0
    return _STEP_S + partitions * (_PARTITION_S + _BAR_S * bars + fetching)
