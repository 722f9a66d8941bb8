"""A tier's colour, the verdict over all tiers, and the file it is kept in. Pure but for reading and writing that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from fx_monitoring.configuration.health import Limits
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

Colour = Literal["GREEN", "YELLOW", "RED"]
FORMAT = 1
_RANK: dict[Colour, int] = {"GREEN": 0, "YELLOW": 1, "RED": 2}


class Tier(msgspec.Struct, frozen=True):
    """One thing that must be well. value, limit: a number or words, None where there is none; remedy: empty while
    nothing is to be done.
    """

    name: str
    status: Colour
    value: float | str | None
    limit: str | None
    why: str
    remedy: str = ""


class Health(msgspec.Struct, frozen=True):
    """The verdict: the worst tier's colour. session: which one is judged, None for the machine."""

    status: Colour
    at: datetime
    tiers: tuple[Tier, ...]
    session: str | None = None
    format: int = FORMAT

    @property
    def reasons(self) -> list[str]:
        """What is not well, the worst first."""
        bad = sorted((t for t in self.tiers if t.status != "GREEN"), key=lambda t: -_RANK[t.status])
        return [f"{tier.name} {tier.status}: {tier.why}" for tier in bad]


def worst(colours: Iterable[Colour]) -> Colour:
    """The worst of some colours. Of none YELLOW: nothing is known."""
    found = sorted(colours, key=_RANK.__getitem__)
    return found[-1] if found else "YELLOW"


def verdict(tiers: Sequence[Tier], at: datetime, session: str | None = None) -> Health:
    """The verdict over the tiers."""
    return Health(worst(tier.status for tier in tiers), at, tuple(tiers), session)


def unknown(name: str, why: str, remedy: str) -> Tier:
    """What cannot be judged is YELLOW: no news is not good news."""
    return Tier(name, "YELLOW", None, None, f"unknown: {why}", remedy)


def rising(name: str, value: float | None, limits: Limits, words: str, remedy: str) -> Tier:
    """More is worse. words: what the value is, such as "{:.0f} % of the disk"."""
    if value is None or not math.isfinite(value):
        return unknown(name, "there is no value", remedy)
    return _graded(name, value, value >= limits.yellow, value >= limits.red, limits, words, remedy, "from")


def falling(name: str, value: float | None, limits: Limits, words: str, remedy: str) -> Tier:
    """Less is worse."""
    if value is None or not math.isfinite(value):
        return unknown(name, "there is no value", remedy)
    return _graded(name, value, value <= limits.yellow, value <= limits.red, limits, words, remedy, "up to")


def _graded(
    name: str, value: float, yellow: bool, red: bool, limits: Limits, words: str, remedy: str, way: str
) -> Tier:
    colour: Colour = "RED" if red else "YELLOW" if yellow else "GREEN"
    limit = f"YELLOW {way} {limits.yellow:g}, RED {way} {limits.red:g}"
    return Tier(name, colour, value, limit, words.format(value), remedy if colour != "GREEN" else "")


def write_health(path: Path, health: Health) -> bool:
    """Replace the newest verdict; False where the file tells of a newer session, and stays."""
    before = _read(path)
    if before is not None and health.session is not None and (before.session or "") > health.session:
        return False
    atomic_write(path, msgspec.json.format(msgspec.json.encode(health), indent=2))
    return True


def latest_health(stores: Stores) -> Health | None:
    """The newest verdict on data, models and money; None where there is none, or it cannot be read."""
    return _read(stores.health)


def latest_infrastructure(stores: Stores) -> Health | None:
    """The newest verdict on machine and programs."""
    return _read(stores.infrastructure)


def _read(path: Path) -> Health | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Health)
    except (FileNotFoundError, ValueError):
        return None
