"""Frames between a worker and its sidecar: 4-byte length, 8-byte request number, payload (little endian).

Worker to sidecar: the float32 row. Sidecar to worker: status byte, then two float64, the score and the seconds it
took (OK), or a UTF-8 text (FAILED). Request number 0 in an answer is the start-up report: OK when the candidate is
loaded and its golden rows agree.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

OK = 0
FAILED = 1
_HEAD = struct.Struct("<IQ")
_VALUE = struct.Struct("<Bdd")


def question(number: int, row: bytes) -> bytes:
    """A row to score."""
    return _HEAD.pack(8 + len(row), number) + row


def answer(number: int, value: float, seconds: float) -> bytes:
    """A score, and the time spent on it in this process."""
    return _HEAD.pack(8 + _VALUE.size, number) + _VALUE.pack(OK, value, seconds)


def failure(number: int, text: str) -> bytes:
    """What went wrong instead of a score."""
    payload = bytes([FAILED]) + text.encode()[:4000]
    return _HEAD.pack(8 + len(payload), number) + payload


def parse_answer(payload: bytes) -> tuple[float, float] | str:
    """(score, seconds), or the text of a failure."""
    if payload[0] == OK:
        _, value, seconds = _VALUE.unpack(payload)
        return value, seconds
    return payload[1:].decode(errors="replace")


class Frames:
    """Cuts a byte stream into (number, payload) frames."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add bytes; gives the frames now complete."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= _HEAD.size:
            length, number = _HEAD.unpack_from(buffer, at)
            end = at + 4 + length
            if end > len(buffer):
                break
            yield number, buffer[at + _HEAD.size : end]
            at = end
        self._buffer = buffer[at:]
