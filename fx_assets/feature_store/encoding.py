"""Feast's online format in bytes: entity keys, values, event times. Without Feast, whose import takes seconds.

Only what one string key and float64 features need. tests/contract/test_online_stores.py reads with Feast what is
written with this.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fx_assets.errors import DataError

PROJECT = "fx"
ENTITY = "instrument"

STRING = 2  # ValueType.STRING
DOUBLE = 0x29  # tag of Value.double_val: field 5, eight bytes
MISSING = b""  # an empty Value
CELL = 9
MICROSECONDS = 1_000_000

Stored = tuple[int, dict[str, bytes]]  # event time in microseconds since 1970, UTC; Values by feature


@dataclass(frozen=True)
class Batch:
    """Rows of one feature view. keys: entity keys; times: microseconds since 1970, UTC; values[row][name]: Values."""

    keys: Sequence[bytes]
    times: Sequence[int]
    names: Sequence[str]
    values: Sequence[Sequence[bytes]]

    def newest(self) -> Batch:
        """One row for each key: its newest, and of two of one time the later in order.

        Raises DataError for a time before 1970, which the stores cannot order.
        """
        best: dict[bytes, int] = {}
        for row, (key, time) in enumerate(zip(self.keys, self.times, strict=True)):
            if time < 0:
                raise DataError(f"online store: an event time of {time} us lies before 1970. Mend the row's time.")
            if key not in best or time >= self.times[best[key]]:
                best[key] = row
        rows = best.values()
        return Batch(list(best), [self.times[r] for r in rows], self.names, [self.values[r] for r in rows])


def entity_key(symbol: str) -> bytes:
    """An instrument as Feast's entity key, serialization version 3."""
    name, value = ENTITY.encode(), symbol.encode()
    head = struct.pack("<III", 1, STRING, len(name)) + name
    return head + struct.pack("<II", STRING, len(value)) + value


def cells(values: np.ndarray) -> list[list[bytes]]:
    """float64 (rows, features) as serialized Values; NaN, whatever its payload, is a missing value."""
    rows, features = values.shape
    raw = np.empty((rows, features, CELL), np.uint8)
    raw[:, :, 0] = DOUBLE
    raw[:, :, 1:] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(rows, features, CELL - 1)
    flat = raw.tobytes()
    found = [flat[start : start + CELL] for start in range(0, len(flat), CELL)]
    for gap in np.flatnonzero(np.isnan(values.ravel())).tolist():
        found[gap] = MISSING
    return [found[row * features : (row + 1) * features] for row in range(rows)]


def number(cell: bytes) -> float:
    """A serialized Value as float64; NaN for a missing one and for one of another type."""
    return struct.unpack("<d", cell[1:])[0] if len(cell) == CELL and cell[0] == DOUBLE else float("nan")


def timestamp(time: int) -> bytes:
    """Microseconds since 1970 as a serialized google.protobuf.Timestamp."""
    seconds, micros = divmod(time, MICROSECONDS)
    fields = [(b"\x08", seconds), (b"\x10", micros * 1000)]
    return b"".join(tag + _varint(value) for tag, value in fields if value)


def micros(stamp: bytes) -> int:
    """A serialized Timestamp as microseconds since 1970."""
    fields, at = {1: 0, 2: 0}, 0
    while at < len(stamp):
        field, at = stamp[at] >> 3, at + 1
        value, shift = 0, 0
        while True:
            byte, at = stamp[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        fields[field] = value
    return fields[1] * MICROSECONDS + fields[2] // 1000


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
