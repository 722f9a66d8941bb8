"""The Dagster assets and jobs of this location, one module a subject.

common        what every asset has alike, and what the builders are given
predictions   what the service answered, with inputs and outcomes; candidates' unseen scores
quality       how good the answers were, and the job that keeps what is looked at all day
challenger    candidates and other slots beside the serving version
signals       what acting on a session's answers would have earned, and the job of the night
data_quality  a session's data on one page
late          earlier sessions whose outcomes became known since
drift         how far what was asked is from what the model was trained on
trading       what the deployed models order on paper, and what that earned
health        one colour for data, models and money, one for machine and programs
levels        how many of the platform's runs are good
copies        verified copies of every SQLite file
costs         what the month before cost

A module has `build(shared)` for its assets and, if it has any, `jobs(shared)` and `sensors(shared)`; PARTS lists the
modules.
"""

from typing import Any

import dagster as dg

from fx_monitoring.assets import (
    challenger,
    copies,
    costs,
    data_quality,
    drift,
    health,
    late,
    levels,
    predictions,
    quality,
    signals,
    trading,
)
from fx_monitoring.assets.common import Shared

PARTS = (
    predictions,
    quality,
    challenger,
    signals,
    data_quality,
    late,
    drift,
    trading,
    health,
    levels,
    copies,
    costs,
)


def build(shared: Shared) -> list[dg.AssetsDefinition]:
    """Every monitoring asset."""
    return [asset for part in PARTS for asset in part.build(shared)]


def jobs(shared: Shared) -> list[Any]:
    """Every monitoring job."""
    return [job for part in PARTS if hasattr(part, "jobs") for job in part.jobs(shared)]


def sensors(shared: Shared) -> list[dg.SensorDefinition]:
    """Every sensor of the assets."""
    return [sensor for part in PARTS if hasattr(part, "sensors") for sensor in part.sensors(shared)]
