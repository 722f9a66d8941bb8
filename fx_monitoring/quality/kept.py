"""How many pages of a kind are kept."""

from __future__ import annotations

from pathlib import Path


def keep_newest(folder: Path, pattern: str, count: int, always: Path) -> list[Path]:
    """Delete all but the `count` pages whose names come last (names end in the session), never `always`; returns what
    was deleted.
    """
    old = [path for path in sorted(folder.glob(pattern), reverse=True)[count:] if path != always]
    for path in old:
        path.unlink(missing_ok=True)
    return old
