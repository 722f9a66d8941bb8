"""The figures of a benchmark run: as Markdown for people, as JSON for comparing runs."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from fx_serving.client.files import atomic_write

PACKAGES = ("dagster", "numpy", "pandas", "onnxruntime", "fastapi", "uvicorn")


@dataclass(frozen=True)
class Figure:
    """One measured number; `how` says what was done, so that it can be done again."""

    section: str
    name: str
    value: float
    unit: str
    how: str


def median_s(measure: Callable[[], float], times: int) -> float:
    """The median of several measurements in seconds: one disturbed run does not count."""
    return statistics.median(measure() for _ in range(times))


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of one call, of all threads of this process: a neighbour does not count."""
    started = time.process_time()
    work()
    return time.process_time() - started


def machine() -> dict[str, str | int | float]:
    """What the figures were measured on."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": psutil.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        # Above about one per core the figures tell of the neighbours.
        "load_at_start": round(psutil.getloadavg()[0], 2),
        **{name: version(name) for name in PACKAGES},
    }


def markdown(figures: Sequence[Figure], found: dict[str, str | int | float]) -> str:
    """A table, and the machine below it."""
    lines = ["| section | what | value | unit | how |", "| --- | --- | ---: | --- | --- |"]
    lines += [f"| {f.section} | {f.name} | {f.value:,.4g} | {f.unit} | {f.how} |" for f in figures]
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in found.items())])


def write_json(path: Path, figures: Sequence[Figure], found: dict[str, str | int | float]) -> None:
    """The same as JSON, replaced atomically."""
    content = {"format": 1, "machine": found, "figures": [asdict(figure) for figure in figures]}
    atomic_write(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
