"""Answers as bytes, in OANDA's format: numbers as strings with the instrument's decimals, times as it writes them.

Pages of candles are put together column by column, digits as bytes of one array: thousands a millisecond.
"""

from __future__ import annotations

import numpy as np

from fx_assets.practice.history import ASK, BID, MID, TIME, VOLUME
from fx_assets.practice.market import Candles

_SIDES = {"B": ("bid", BID), "M": ("mid", MID), "A": ("ask", ASK)}
_NOTHING = b"\0"  # padding, taken out at the end


def render_candles(symbol: str, granularity: str, candles: Candles, price: str, precision: int, unix: bool) -> bytes:
    """The body of a candles answer. price: any of M, B and A."""
    head = f'{{"instrument":"{symbol}","granularity":"{granularity}","candles":['.encode()
    bars = candles.bars
    if not len(bars):
        return head + b"]}"
    columns: list[np.ndarray | bytes] = [
        b'{"complete":',
        _words(candles.complete),
        b',"volume":',
        _digits(bars[:, VOLUME]),
    ]
    columns += [b',"time":"', _times(bars[:, TIME], unix), b'"']
    for letter, (name, side) in _SIDES.items():
        if letter in price:
            columns.append(f',"{name}":{{'.encode())
            for position, field in enumerate("ohlc"):
                before = "," if position else ""
                columns += [f'{before}"{field}":"'.encode(), _decimals(bars[:, side][:, position], precision), b'"']
            columns.append(b"}")
    columns.append(b"},")
    return head + _join(columns, len(bars))[:-1] + b"]}"


def decimal(points: int, precision: int) -> str:
    """Points as a number with so many decimals."""
    whole, rest = divmod(points, 10**precision)
    return f"{whole}.{rest:0{precision}d}"


def time_text(milliseconds: int, unix: bool) -> str:
    """RFC 3339 with nine decimals, or seconds since 1970 with nine decimals."""
    seconds, rest = divmod(milliseconds, 1000)
    if unix:
        return f"{seconds}.{rest:03d}000000"
    return f"{np.datetime64(seconds, 's')}.{rest:03d}000000Z"


def _join(columns: list[np.ndarray | bytes], rows: int) -> bytes:
    widths = [len(c) if isinstance(c, bytes) else c.shape[1] for c in columns]
    table = np.empty((rows, sum(widths)), "uint8")
    at = 0
    for column, width in zip(columns, widths, strict=True):
        table[:, at : at + width] = np.frombuffer(column, "uint8") if isinstance(column, bytes) else column
        at += width
    return table.tobytes().replace(_NOTHING, b"")


def _digits(values: np.ndarray, least: int = 1) -> np.ndarray:
    """Whole numbers as text, as wide as the widest; zeros in front are padding beyond `least` digits."""
    width = max(len(str(int(values.max()))), least)
    powers = 10 ** np.arange(width - 1, -1, -1, dtype="int64")
    digits = (values[:, None] // powers % 10 + ord("0")).astype("uint8")
    blank = (values[:, None] < powers) & (np.arange(width) < width - least)
    digits[blank] = 0
    return digits


def _decimals(points: np.ndarray, precision: int) -> np.ndarray:
    digits = _digits(points, precision + 1)
    point = np.full((len(points), 1), ord("."), "uint8")
    return np.concatenate([digits[:, :-precision], point, digits[:, -precision:]], axis=1)


def _times(seconds: np.ndarray, unix: bool) -> np.ndarray:
    if unix:
        text, end = _digits(seconds), b".000000000"
    else:
        stamps = np.datetime_as_string(seconds.astype("datetime64[s]")).astype("S19")
        text, end = stamps.view("uint8").reshape(len(seconds), 19), b".000000000Z"
    return np.concatenate([text, np.broadcast_to(np.frombuffer(end, "uint8"), (len(seconds), len(end)))], axis=1)


def _words(flags: np.ndarray) -> np.ndarray:
    return np.where(flags, b"true", b"false").astype("S5").view("uint8").reshape(len(flags), 5)
