"""OANDA's pricing stream: one connection that is kept up, watched by its heartbeats, and turned into finished bars.

The service sends at most four prices a second for each instrument, so that a bar of the stream can miss an extreme
of the candle that is fetched later; the later fetch wins in silver.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from fx_assets.sources.base import SourceError, SourceRefused
from fx_assets.sources.http import HttpSession
from fx_assets.sources.oanda import STREAM_HOSTS, oanda_session, secret
from fx_assets.sources.oanda_bars import BarBuilder, StreamBar, middle
from fx_assets.sources.options import Oanda
from fx_serving.client.clock import now

SILENCE_S = 11.0  # nothing came for so long: of the heartbeats every 5 s two are missing
GAP_S = 11.0  # the same between the times that two lines carry
MAX_CLOCK_OFFSET_S = 90.0
BACKOFF_S, MAX_BACKOFF_S = 0.5, 30.0
_STEADY_S = 60.0  # a connection that held this long was a good one: the next wait starts small again
_MAX_LINE = 1 << 20

log = logging.getLogger(__name__)


class _Bucket(Struct, gc=False):
    price: str


class _Price(Struct, tag="PRICE", tag_field="type", gc=False):
    time: float
    instrument: str
    bids: list[_Bucket] = []
    asks: list[_Bucket] = []
    tradeable: bool = True


class _Heartbeat(Struct, tag="HEARTBEAT", tag_field="type", gc=False):
    time: float


_decoder = msgspec.json.Decoder(_Price | _Heartbeat, strict=False)


def stream_bars(
    options: Oanda,
    instruments: Mapping[str, int],
    stop: threading.Event,
    clock: Callable[[], datetime] = now,
    name: str = "oanda",
) -> Iterator[StreamBar]:
    """Bars as they end, until `stop` is set; each was seen from its first to its last second without a gap.

    instruments: OANDA's symbol -> minutes of a bar. Bars cut by a connect, a disconnect, missed heartbeats or an
    unusable price are left out: fetch those as candles. Reconnects for ever, with waits that grow and are logged.
    Raises SourceRefused (no token or account, a wrong one, an unknown instrument).
    """
    yield from PricingStream(name, options, instruments, clock).bars(stop)


class PricingStream:
    """One account's stream. `last_message`: monotonic time of the newest line; `connections`: how many there were."""

    def __init__(self, name: str, options: Oanda, instruments: Mapping[str, int], clock: Callable[[], datetime] = now):
        self.name, self.options, self._clock = name, options, clock
        self.builders = {symbol: BarBuilder(symbol, minutes) for symbol, minutes in instruments.items()}
        self.connections = 0
        self.last_message: float | None = None
        self.unusable = 0  # prices that were not used: not tradeable, without bid or ask, or crossed
        self._server_time: float | None = None
        self._done = threading.Event()

    def bars(self, stop: threading.Event) -> Iterator[StreamBar]:
        """See stream_bars."""
        lines: queue.Queue[bytes | SourceError] = queue.Queue(maxsize=100_000)
        reader = threading.Thread(target=self._read, args=(lines,), name="oanda-stream", daemon=True)
        reader.start()
        try:
            while not stop.is_set():
                try:
                    item = lines.get(timeout=0.5)
                except queue.Empty:
                    continue
                if isinstance(item, SourceRefused):
                    raise item
                if isinstance(item, SourceError):
                    self._cut()
                else:
                    yield from self.feed(item)
        finally:
            self._done.set()  # the reader ends with its next line, at the latest after SILENCE_S

    def feed(self, line: bytes) -> list[StreamBar]:
        """Bars that one line of the stream closes. A line that cannot be read cuts the running bars."""
        try:
            message = _decoder.decode(line)
        except ValueError as error:
            log.warning("%s: a line of the stream cannot be read (%s); running bars are left out", self.name, error)
            self._cut()
            return []
        closed: list[StreamBar] = []
        if isinstance(message, _Price):
            builder = self.builders.get(message.instrument)
            if builder is None:
                return closed
            closed += self._price(builder, message)
            # The first price of a connection may be an old one: only heartbeats tell that the stream has come so far.
            if self._server_time is None or message.time <= self._server_time:
                return closed
        if self._server_time is None or message.time - self._server_time > GAP_S:
            for builder in self.builders.values():
                builder.connected(message.time)
        self._server_time = message.time
        for builder in self.builders.values():
            closed += builder.advance(message.time)
        return closed

    def _price(self, builder: BarBuilder, price: _Price) -> list[StreamBar]:
        if not price.tradeable:
            self.unusable += 1  # the market is closed, or halted: no candle is made of these
            return []
        try:
            bid_text, ask_text = price.bids[0].price, price.asks[0].price
            bid, ask = float(bid_text), float(ask_text)
        except (IndexError, ValueError):
            bid_text, bid, ask = "", 1.0, 0.0
        if not 0 < bid <= ask < float("inf"):
            self.unusable += 1
            return builder.doubt(price.time)
        decimals = len(bid_text.partition(".")[2])
        return builder.price(price.time, bid, ask, middle(bid, ask, decimals))

    def _cut(self) -> None:
        self._server_time = None
        for builder in self.builders.values():
            builder.cut()

    def _read(self, lines: queue.Queue[bytes | SourceError]) -> None:
        """The reader's thread: lines into the queue, an error for each connection that ended."""
        failures = 0
        session: HttpSession | None = None
        while not self._done.is_set():
            began = time.monotonic()
            try:
                session = session or self._session()
                self._connection(session, lines)
            except SourceRefused as refusal:
                lines.put(refusal)
                break
            except SourceError as error:
                failures = 0 if time.monotonic() - began > _STEADY_S else failures + 1
                wait = random.uniform(0, min(MAX_BACKOFF_S, BACKOFF_S * 2**failures))
                log.warning("%s; connecting again in %.1f s", error, wait)
                lines.put(error)
                self._done.wait(wait)
        if session is not None:
            session.close()

    def _connection(self, session: HttpSession, lines: queue.Queue[bytes | SourceError]) -> None:
        """One connection, from its first line to its end, which is always an error."""
        account = secret(self.name, self.options.account_env, "the account's id")
        path = f"/v3/accounts/{account}/pricing/stream"
        rest = b""
        with session.stream(path, {"instruments": ",".join(self.builders)}, silence_s=SILENCE_S) as parts:
            self.connections += 1
            for part in parts:
                if self._done.is_set():
                    return
                self.last_message = time.monotonic()
                *whole, rest = (rest + part).split(b"\n")
                if len(rest) > _MAX_LINE:
                    raise session.error(path, "the stream sends lines without end")
                for line in whole:
                    if line.strip():
                        self._check_clock(session, path, line)
                        lines.put(line)
        raise session.error(path, "the stream ended")

    def _check_clock(self, session: HttpSession, path: str, line: bytes) -> None:
        """Heartbeats carry the server's time: bars of another day must not be taken for today's."""
        if b"HEARTBEAT" not in line[:40]:
            return
        try:
            offset = _decoder.decode(line).time - self._clock().timestamp()
        except ValueError:
            return  # feed() says so
        if abs(offset) > MAX_CLOCK_OFFSET_S:
            raise session.error(
                path,
                f"its time is {offset:+.0f} s from this machine's. Set this machine's clock, or FX_CLOCK where "
                "history is replayed.",
            )

    def _session(self) -> HttpSession:
        secret(self.name, self.options.account_env, "the account's id")
        url = self.options.stream_url or self.options.url or STREAM_HOSTS[self.options.environment]
        return oanda_session(self.name, self.options, url)


def account_set(options: Oanda) -> bool:
    """Whether the environment holds what the stream needs."""
    return all(os.environ.get(variable, "").strip() for variable in (options.token_env, options.account_env))
