"""The sensor that holds finished runs against the service levels; it asks for nothing. What was missed is in slo.json,
where the sensors that alert look.
"""

from datetime import UTC, datetime

import dagster as dg

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration
from fx_monitoring.slo.budget import Level
from fx_monitoring.slo.collect import look
from fx_serving.client.home import Stores

NAME = "service_levels"


def build(configuration: Configuration, stores: Stores) -> list[dg.SensorDefinition]:
    """The sensor."""

    @dg.sensor(
        **sensor_options(configuration, NAME),
        description="Counts finished runs, and writes how the service levels stand to monitoring/slo.json.",
    )
    def service_levels(context: dg.SensorEvaluationContext):
        document = look(context.instance, stores, configuration, datetime.now(UTC))
        return dg.SkipReason("; ".join(map(in_words, document.rows)) or "automation.yaml has no service level")

    return [service_levels]


def in_words(level: Level) -> str:
    """How one service level stands."""
    if level.achieved is None or level.budget_left is None:
        return f"{level.name}: no runs yet"
    return (
        f"{level.name}: {level.achieved:.2%} of {level.runs} runs good (target {level.target:.0%}), "
        f"{level.budget_left:.0%} of the error budget left"
    )
