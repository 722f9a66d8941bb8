"""Tiers as a table, for the Dagster UI."""

from __future__ import annotations

from fx_monitoring.health.tiers import Health, Tier


def tier_table(health: Health) -> str:
    """One line for each tier. Few columns, since the Dagster UI has little room."""
    rows = [
        f"| {t.name} | {t.status} | {_value(t.value)} | {t.limit or '-'} | {_cell(_why(t))} |" for t in health.tiers
    ]
    head = "| tier | status | value | limit | why, and what to do |"
    return "\n".join([f"**{health.status}**", "", head, "| --- |" + " --- |" * 4, *rows])


def _why(tier: Tier) -> str:
    return f"{tier.why}. {tier.remedy}" if tier.remedy else tier.why


def _value(value: float | str | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4g}"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
