"""The stream process: prices to finished bars, bars to bronze, and a note for the sensor that they are there.

    python -m fx_assets.live.stream

`fx up` starts it where a source streams, and starts it again when it ends. A bar that it could not see whole, or
not write, is left to the candles that are fetched every poll_seconds; they win over the stream's by fetch time.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import Configuration, load_configuration
from fx_assets.errors import FxError, StoreError
from fx_assets.lake import lake_root
from fx_assets.live.newest import Newest, read_newest, write_newest
from fx_assets.live.streams import streamed
from fx_assets.sessions import running_session
from fx_assets.sources import SourceRefused
from fx_assets.sources.oanda_bars import StreamBar, bars_frame
from fx_assets.sources.oanda_stream import stream_bars
from fx_assets.sources.options import Oanda
from fx_serving.client import logs
from fx_serving.client.clock import now
from fx_serving.client.home import fx_home

# Exit codes that `fx up` tells apart: started again after a failure, and left alone after a refusal.
FAILED, REFUSED = 1, 3

log = logging.getLogger(__name__)


class Writer:
    """Puts finished bars into bronze and keeps the note of the newest ones. Thread-safe."""

    def __init__(self, home: Path, bronze: Bronze, all_week: bool):
        self.home, self.bronze, self.all_week = home, bronze, all_week
        self._lock = threading.Lock()
        known = read_newest(home)
        self._bars = dict(known.bars) if known else {}
        self._since: dict[str, datetime] = {}
        # By length of bar: the newest one of any instrument, and the first of the unbroken row that it ends.
        self._rows: dict[int, tuple[datetime, datetime]] = {}

    def write(self, source: str, instrument: str, bar: StreamBar) -> bool:
        """One bar of a source; False when it could not be stored, which is logged."""
        session = running_session(bar.time, self.all_week)
        try:
            self.bronze.append(CANDLES, instrument, session, f"{source}_stream", bars_frame([bar]), datetime.now(UTC))
        except (StoreError, OSError) as error:
            log.error("%s %s is left to the next fetch: %s", instrument, bar.time.isoformat(), error)
            return False
        with self._lock:
            self._bars[instrument] = bar.time
            self._since[instrument] = self._row(bar)
            try:
                write_newest(self.home, Newest(datetime.now(UTC), dict(self._bars), dict(self._since)))
            except OSError as error:
                log.error("the newest bars cannot be noted: %s", error)
                return False
        return True

    def _row(self, bar: StreamBar) -> datetime:
        """The first bar of the row without a hole that this one ends. One instrument may be quiet; all are not."""
        newest, first = self._rows.get(bar.minutes, (bar.time, bar.time))
        if bar.time - newest > timedelta(minutes=bar.minutes):
            first = bar.time
        self._rows[bar.minutes] = max(newest, bar.time), first
        return first


def run_stream(
    configuration: Configuration,
    name: str,
    writer: Writer,
    stop: threading.Event,
    clock: Callable[[], datetime] = now,
) -> None:
    """Stream one source until `stop` is set. Raises SourceRefused where it will never answer."""
    symbols = streamed(configuration)[name]
    instruments = configuration.instruments.instruments
    options = configuration.instruments.source(name)
    assert isinstance(options, Oanda)
    minutes = {native: instruments[symbol].minutes for native, symbol in symbols.items()}
    log.info("%s: streaming %s", name, ", ".join(symbols.values()))
    for bar in stream_bars(options, minutes, stop, clock, name):
        writer.write(name, symbols[bar.instrument], bar)


def run_streams(configuration: Configuration, home: Path, stop: threading.Event) -> int:
    """Stream every source that does, until `stop` is set or one of them ends; returns the exit code."""
    bronze = Bronze(lake_root(home, configuration.data.storage))
    writer = Writer(home, bronze, configuration.all_week)
    codes: list[int] = []

    def work(name: str) -> None:
        try:
            run_stream(configuration, name, writer, stop)
        except SourceRefused as refusal:
            log.error("%s. Candles are fetched every %d s instead.", refusal, configuration.poll_seconds)
            codes.append(REFUSED)
        except Exception:
            log.exception("%s: the stream ended", name)
            codes.append(FAILED)
        finally:
            stop.set()

    threads = [threading.Thread(target=work, args=(name,), name=f"stream-{name}") for name in streamed(configuration)]
    _run(threads)
    return max(codes, default=0)


def _run(threads: Iterable[threading.Thread]) -> None:
    started = list(threads)
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def main() -> int:
    """Exit code 0 when told to stop, FAILED or REFUSED when a stream ended by itself."""
    logs.setup("stream")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return run_streams(load_configuration(), fx_home(), stop)
    except FxError as error:
        log.error("%s", error)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
