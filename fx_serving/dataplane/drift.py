"""GET /drift/status: the status files that monitoring writes, as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


def drift_status(folder: Path) -> dict[str, Any]:
    """The newest status per model, and what could not be read."""
    models: dict[str, Any] = {}
    problems: list[str] = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            models[path.stem] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            problems.append(f"{path}: {error}. It is rewritten by the next drift check.")
    note = None if models else "no drift check has run yet; monitoring writes one per session and model"
    return {"models": models, "problems": problems, "note": note}
