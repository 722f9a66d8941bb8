"""Which sources had too many bad candles in a session to be believed at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fx_assets.quality.duplicates import Distinct
from fx_assets.quality.reasons import BIT, CODES

# One bad candle of an hourly session is more than 4 % of it; a single one never condemns a source.
FORGIVEN = 1
_TOLD = 4


@dataclass(frozen=True)
class Verdict:
    """A source that is over its limit, for one session and instrument. bad and candles count distinct times."""

    session: int
    instrument: int
    source: int
    bad: int
    candles: int
    limit: float
    rows: np.ndarray
    reasons: tuple[tuple[str, int], ...]

    def words(self, found: Distinct) -> str:
        """What is wrong, where, and what to do about it."""
        symbol = found.bars.market.symbols[self.instrument]
        key, source = found.bars.calendar.keys[self.session], found.sources[self.source]
        told = ", ".join(f"{count} {code}" for code, count in self.reasons[:_TOLD])
        entry = source.partition(":")[0].removesuffix("_stream")
        return (
            f"{symbol}, session {key}: {self.bad} of {self.candles} candles of source {source} are bad "
            f"({self.bad / self.candles:.1%}, limit {self.limit:.1%}): {told}. "
            f"Look at them with `fx quality --from {key} --to {key}`; then fetch the session again with "
            f"`fx backfill --force --from {key} --to {key}`, where another source may be first in instruments.yaml; or "
            f"import it again, or raise sources.{entry}.max_bad_share there, and run `fx backfill`."
        )


def verdicts(found: Distinct, bits: np.ndarray) -> list[Verdict]:
    """Every session, instrument and source with more than one bad candle and a share of them over max_bad_share."""
    bars = found.bars
    if not len(bars) or not bits.any():
        return []
    sources = max(1, len(found.sources))
    group = bars.group * sources + found.source
    # Contradicting rows share a time: that is one candle.
    counted = found.copy == 0
    groups, where = np.unique(group, return_inverse=True)
    total = np.bincount(where, counted, len(groups))
    bad = np.bincount(where, counted & (bits != 0), len(groups))
    limit = np.array([bars.market.max_bad_share(name) for name in found.sources])[groups % sources]
    over = np.flatnonzero((bad > FORGIVEN) & (bad > limit * total))
    if not len(over):
        return []
    order = np.argsort(where, kind="stable")
    starts = np.searchsorted(where[order], over)
    stops = np.searchsorted(where[order], over, "right")
    sessions = max(1, len(bars.calendar.keys))
    made = []
    for number, start, stop in zip(over, starts, stops, strict=True):
        rows = order[start:stop]
        counts = [(code, int(((bits[rows] & BIT[code]) != 0).sum())) for code in CODES]
        reasons = tuple(sorted(((c, n) for c, n in counts if n), key=lambda item: -item[1]))
        pair, source = divmod(int(groups[number]), sources)
        instrument, session = divmod(pair, sessions)
        made.append(
            Verdict(
                session, instrument, source, int(bad[number]), int(total[number]), float(limit[number]), rows, reasons
            )
        )
    return made
