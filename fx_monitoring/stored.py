"""What monitoring itself has written, read back: records of sessions and state files; damage is told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from fx_assets.errors import StoreError
from fx_assets.lake import Lake
from fx_serving.client.files import DamagedFile, read_json


def session_in(path: Path) -> str:
    """Of which session a state file tells; "" where there is none, or a damaged one, which the next replaces."""
    try:
        return str((read_json(path) or {}).get("session", ""))
    except DamagedFile:
        return ""


def record(lake: Lake, asset: str, session: str) -> dict[str, Any] | None:
    """A session's record of a monitoring asset; None where there is none. Raises StoreError for a damaged one."""
    where = f"monitoring/{asset}/session={session}/record.json"
    try:
        return msgspec.json.decode(lake.store.read(where), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:  # msgspec's own errors, and bytes that are no UTF-8
        remedy = f"Materialize {asset} for session {session} again."
        raise StoreError(f"{lake.url}/{where}: cannot be read: {error}. {remedy}") from None
