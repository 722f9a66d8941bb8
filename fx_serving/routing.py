"""The routing table's format: written by the controller, read by the workers. And who goes to green."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fx_serving.client.files import atomic_write


class GreenRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate: its version, its share of traffic in per cent, the rollout it belongs to.

    `salt`: of the hash that splits the traffic ("": the rollout's id). `instruments`: the only ones that may go to it
    (None: all). `shadow`: it also scores, unseen, what blue answers.
    """

    version: str
    weight: float
    rollout_id: str
    salt: str = ""
    instruments: tuple[str, ...] | None = None
    shadow: bool = False

    @property
    def hash_salt(self) -> str:
        """The salt in force."""
        return self.salt or self.rollout_id


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """The version that was blue before: kept loaded until then, so that going back is one assignment."""

    version: str
    until: Annotated[datetime, msgspec.Meta(tz=True)]


class ModelRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of one model answer."""

    blue: str | None = None
    green: GreenRoute | None = None
    standby: Standby | None = None


class RoutingTable(msgspec.Struct, frozen=True, kw_only=True):
    """routing.json.

    `generation` rises with every change of routes; `counter` with every renewal of the lease; `term` with every
    change of the leading controller: a table of a lower term than one already applied is not followed.
    """

    format: Literal[1] = 1
    generation: int
    counter: int
    models: dict[str, ModelRoute]
    term: int = 0


_decoder = msgspec.json.Decoder(RoutingTable)


def read_routing(path: Path) -> RoutingTable:
    """The table in `path`. Raises OSError or msgspec.DecodeError."""
    try:
        return _decoder.decode(Path(path).read_bytes())
    except (UnicodeDecodeError, RecursionError) as error:  # damaged inside of a text, or nested without end
        raise msgspec.DecodeError(str(error)) from None


def write_routing(path: Path, table: RoutingTable, *, durable: bool) -> None:
    """Replace the table atomically; renewals of the lease need not be durable."""
    atomic_write(path, msgspec.json.encode(table), durable=durable)


class Lease:
    """Whether the controller is seen to live: its counter changed within the last `expire_s` of the own
    clock.

    The first counter seen proves nothing (the file may be a day old), so a restarted worker begins without a
    lease.
    """

    def __init__(self, expire_s: float) -> None:
        self.expire_s = expire_s
        self.until = float("-inf")
        self._counter: int | None = None

    def observe(self, counter: int, now: float) -> None:
        """Note the counter read at monotonic time `now`."""
        if self._counter is not None and counter != self._counter:
            self.until = now + self.expire_s
        self._counter = counter

    def alive(self, now: float) -> bool:
        """Whether canary weights hold at monotonic time `now`."""
        return now < self.until


def position(salt: str, key: str) -> float:
    """Where `key` falls in [0, 100): equal on every node, independent between salts."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100.0


def goes_green(salt: str, key: str, weight: float) -> bool:
    """Whether `key` is in the canary's share.

    A key once in stays in while the weight rises (sticky, monotone).
    """
    return weight >= 100 or position(salt, key) < weight


def eligible(route: GreenRoute, instrument: str) -> bool:
    """Whether the candidate may be asked about `instrument` at all."""
    return route.instruments is None or instrument in route.instruments
