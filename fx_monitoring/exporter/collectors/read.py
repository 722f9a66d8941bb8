"""What the collectors of state files share: reading one, and telling its figures apart from what it does not know."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

from fx_assets.errors import DataError
from fx_monitoring.exporter.catalogue import Sample
from fx_serving.client.files import DamagedFile, read_json


def state_file(path: Path) -> dict[str, Any] | None:
    """A JSON file with one object; None where it is not there. Raises DataError for anything else."""
    try:
        return read_json(path)
    except DamagedFile as error:
        raise DataError(str(error)) from None


def figure(name: str, value: Any, *labels: str) -> list[Sample]:
    """One sample, or none where the value is not known."""
    if value is None or isinstance(value, str):
        return []
    number = float(value)
    return [] if math.isnan(number) else [Sample(name, labels, number)]


def unix(moment: Any) -> float | None:
    """An ISO time stamp, or an aware datetime, as seconds since 1970; None for neither."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    return moment.timestamp() if isinstance(moment, datetime) and moment.tzinfo else None
