"""What a backfill will take: time from the measurements of earlier runs, disk from the files that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fx_assets.configuration import Configuration
from fx_assets.runs import timings
from fx_assets.runs.backfill.cut import Range
from fx_assets.runs.steps import ONLINE
from fx_assets.schemas import build_schemas

RUN_S = 240.0  # what one run should take at most, so that a crash costs no more
SHORTEST_RUN = 20  # sessions; below that, runs would cost more than they save
LONG_S = 120.0  # from here on a second process is worth the seconds that it takes to start
AT_ONCE = 2  # processes at most by themselves: more were not measured
PROCESS_BYTES = 2 << 30  # of memory, for three instruments of one-minute candles half of it
_SHARES = 2  # of the sessions for each process: the last ones keep it from waiting for the others
# Bytes, rounded upwards for `up to` on the screen: of a figure, of a column's part of a footer, and of a file's stamp;
# a bronze file is compressed.
_FIGURE_BYTES, _COLUMN_BYTES, _STAMP_BYTES = 8, 150, 1_000
_BRONZE_BAR_BYTES, _BRONZE_FILE_BYTES = 40, 5_000
_AT_HAND = ("sample", "import", "synthetic", "file")  # sources that are no server


@dataclass(frozen=True)
class Estimate:
    """Seconds and bytes. measured: the share of the seconds that rests on measurements of this home, 0 to 1."""

    seconds: float
    size: float
    measured: float


def processes_for(seconds: float, cores: int, free: int) -> int:
    """How many processes a backfill of so many seconds should use on so many cores and bytes of free memory."""
    return max(1, min(AT_ONCE, cores, free // PROCESS_BYTES)) if seconds > LONG_S else 1


class Estimator:
    """Expectations for one home and configuration."""

    def __init__(self, measured: timings.Timings, configuration: Configuration):
        self._measured = measured
        file = configuration.instruments
        self._asked = sum(file.source(i.sources[0]).kind not in _AT_HAND for i in file.instruments.values())
        self._bars = sum(24 * 60 // i.minutes for i in file.instruments.values())
        self._columns = {table: len(schema.columns) for table, schema in build_schemas(configuration).items()}

    def step(self, table: str, partitions: int) -> float:
        """Seconds that one run's step takes for a table."""
        if known := self._measured.get(table):
            return timings.expected(known, partitions)
        return timings.guess(table, partitions, self._bars, self._asked)

    def run(self, part: Range) -> float:
        """Seconds of one run."""
        return sum(self.step(t, part.sessions) for t in part.tables) + self.step(timings.RUN, part.partitions)

    def longest(self, tables: Sequence[str]) -> int:
        """How many sessions a run of these tables may have to end within RUN_S."""
        probe = 200
        rate = sum(self.step(table, probe) for table in tables) / probe
        return max(SHORTEST_RUN, int(RUN_S / rate))

    def share(self, tables: Sequence[str], sessions: int, processes: int) -> int:
        """How many of so many sessions a run of these tables may have, for several processes to work all the time."""
        return max(SHORTEST_RUN, min(self.longest(tables), -(-sessions // (_SHARES * processes))))

    def bytes(self, table: str) -> float:
        """Bytes of a partition on disk."""
        if (columns := self._columns.get(table)) is None:
            return _BRONZE_FILE_BYTES + self._bars * _BRONZE_BAR_BYTES
        return _STAMP_BYTES + columns * (_COLUMN_BYTES + self._bars * _FIGURE_BYTES)

    def total(self, parts: Sequence[Range], online: bool = False, processes: int = 1) -> Estimate:
        """Of all runs together, so many at once, and of the feature store's."""
        steps = [(table, part.sessions) for part in parts for table in part.tables]
        steps += [(timings.RUN, part.partitions) for part in parts]
        steps += [(table, 1) for table in (*ONLINE, timings.RUN) if online]
        steps += [(timings.START, 1)] * (bool(parts) + online)
        seconds = sum(self.step(*step) for step in steps)
        known = sum(self.step(*step) for step in steps if self._measured.get(step[0]))
        size = sum(self.bytes(t) * p.sessions for p in parts for t in p.tables)
        return Estimate(seconds / processes, size, known / seconds if seconds else 1.0)
