"""GET /drift/status: the status files that monitoring writes, as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fx_serving.client.files import DamagedFile, read_json


def drift_status(folder: Path) -> dict[str, Any]:
    """The newest status per model, and what could not be read."""
    models: dict[str, Any] = {}
    problems: list[str] = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            found = read_json(path, "It is rewritten by the next drift check.")
        except DamagedFile as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}. Mend that; the next drift check rewrites it.")
        else:
            models |= {path.stem: found} if found is not None else {}
    note = None if models else "no drift check has run yet; monitoring writes one per session and model"
    return {"models": models, "problems": problems, "note": note}
