"""Where the services of a home listen that `fx up` started last: <home>/stack.json. Others make links of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from fx_serving.client.files import atomic_write

NAME = "stack.json"


def write(home: Path, addresses: Mapping[str, str]) -> None:
    """Keep the address of each service, by its name. Raises OSError."""
    atomic_write(home / NAME, msgspec.json.format(msgspec.json.encode(dict(addresses))))


def read(home: Path) -> dict[str, str]:
    """The addresses of the newest start; none where the home was never started, or they cannot be read."""
    try:
        return msgspec.json.decode((home / NAME).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
