"""What the tests of `fx backfill` read from its output and from a home."""

import re
import subprocess
from pathlib import Path

from fx_assets.bronze.files import CANDLES
from fx_assets.runs.steps import TABLES

LAYERS = ("bronze", "silver", "gold")


def made(done: subprocess.CompletedProcess[str]) -> int:
    """How many partitions the closing line names."""
    found = re.search(r"^made ([\d,]+) partitions", done.stdout, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def planned(done: subprocess.CompletedProcess[str]) -> dict[str, list[int]]:
    """Missing, outdated, up to date and blocked partitions of each layer, as printed."""
    rows = [cells_of(line) for line in done.stdout.splitlines()]
    return {c[0]: [int(n.replace(",", "")) for n in c[1:]] for c in rows if c and c[0] in LAYERS}


def tables_of(layer: str) -> int:
    """How many tables a layer has."""
    return sum(table.startswith(f"{layer}/") for table in TABLES)


def bronze_files(home: Path) -> dict[str, int]:
    """How many fetches there are of each instrument."""
    folders = (home / "lake" / CANDLES).glob("instrument=*")
    return {f.name.partition("=")[2]: len(list(f.glob("session=*/*.gz"))) for f in folders}


def flat(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed, without the breaks of lines."""
    return " ".join(done.stdout.split())


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] if "│" in line else []
