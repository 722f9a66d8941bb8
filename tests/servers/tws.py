"""The socket protocol of TWS and IB Gateway, as far as historical bars go: handshake, account, bars, errors.

Messages are fields that end in NUL, each message behind its length (4 bytes, big-endian).
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pandas as pd

VERSION = 178
SERIES = {"MIDPOINT": "", "BID": "bid_", "ASK": "ask_"}
Fault = Literal["slow", "garbage", "nonsense", "truncated", "hang_up", "mute"]
Key = tuple[str, str]  # symbol and bar size: EUR.USD, 1 hour


@dataclass
class Tws:
    """candles: by Key, with bid and ask. errors: (code, message) for every historical request while set.

    fault: what happens to historical requests; `mute` concerns the handshake.
    """

    candles: Mapping[Key, pd.DataFrame]
    port: int = 0
    fault: Fault | None = None
    error: tuple[int, str] | None = None
    error_times: int | None = None
    requests: list[list[str]] = field(default_factory=list)
    connections: int = 0

    def fails(self, code: int, message: str, times: int | None = None) -> None:
        """Answer historical requests with an error, always or `times` times."""
        self.error, self.error_times = (code, message), times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        self.connections += 1
        try:
            await reader.readexactly(4)  # "API\0"
            await _receive(reader)
            if self.fault == "mute":
                await asyncio.sleep(30)
            _send(writer, str(VERSION), "20250613 12:00:00 UTC")
            while True:
                message = (await _receive(reader)).split("\0")
                if message[0] == "71":
                    _send(writer, "15", "1", "DU000000")
                    _send(writer, "9", "1", "1")
                elif message[0] == "61":
                    _send(writer, "62", "1")
                elif message[0] == "20":
                    self.requests.append(message)
                    if not await self._historical(message, writer):
                        return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _historical(self, message: list[str], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        request, symbol, currency = message[1], message[3], message[11]
        end, size, duration, series = message[15], message[16], message[17], message[19]
        if self.error is not None and self.error_times != 0:
            self.error_times = None if self.error_times is None else self.error_times - 1
            _send(writer, "4", "2", request, str(self.error[0]), self.error[1], "")
            return True
        if self.fault == "hang_up":
            return False
        if self.fault == "slow":
            await asyncio.sleep(10)
        frame = self.candles.get((f"{symbol}.{currency}", size))
        if frame is None:
            _send(writer, "4", "2", request, "200", "No security definition has been found for the request", "")
            return True
        until = datetime.strptime(end.removesuffix(" UTC"), "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
        rows: Any = frame[(frame["time"] >= until - _length(duration)) & (frame["time"] < until)]
        if rows.empty:
            text = "Historical Market Data Service error message:HMDS query returned no data: EUR.USD@IDEALPRO"
            _send(writer, "4", "2", request, "162", text, "")
            return True
        fields = ["17", request, "start", "end", str(len(rows))]
        for row in rows.itertuples():
            # A currency's day is dated by its end.
            at = f"{row.time + timedelta(days=1):%Y%m%d}" if size == "1 day" else str(int(row.time.timestamp()))
            prices = [repr(float(getattr(row, SERIES[series] + name))) for name in ("open", "high", "low", "close")]
            fields += [at, *prices, "-1", "-1", "-1"]
        if self.fault == "nonsense":
            fields[6:10] = ["-1.0"] * 4
        text = ("\0".join(fields) + "\0").encode()
        if self.fault == "garbage":
            text = ("\0".join(["17", request, "start", "end", "3", "what", "is", "this"]) + "\0").encode()
        packed = struct.pack(">I", len(text)) + text
        if self.fault == "truncated":
            writer.write(packed[: len(packed) // 2])
            await writer.drain()
            return False
        writer.write(packed)
        return True


@contextlib.contextmanager
def serve_tws(tws: Tws) -> Iterator[Tws]:
    """The server on a free loopback port, in a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def main() -> None:
        server = await asyncio.start_server(tws.serve, "127.0.0.1", 0)
        tws.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not ready.wait(120):
        raise RuntimeError("the test server did not start")
    try:
        yield tws
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


async def _receive(reader: asyncio.StreamReader) -> str:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return (await reader.readexactly(length)).decode()


def _send(writer: asyncio.StreamWriter, *fields: str) -> None:
    text = ("\0".join(fields) + "\0").encode()
    writer.write(struct.pack(">I", len(text)) + text)


def _length(duration: str) -> timedelta:
    count, unit = duration.split()
    return int(count) * {"S": timedelta(seconds=1), "D": timedelta(days=1), "Y": timedelta(days=365)}[unit]
