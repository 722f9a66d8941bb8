"""The summary as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from fx_assets.cli.common import wide_console

TOP_DRIFT = 6


def show(figures: Mapping[str, Any], home: Path, look: str) -> None:
    """Print the summary: data, models with gates, rollouts, drift, cost. look: where a person looks around."""
    console = wide_console()
    for table in (
        _data(figures),
        _models(figures),
        *_gates(figures),
        _rollout(figures),
        _drift(figures),
        _cost(figures),
    ):
        console.print(table)
    traffic, retraining = figures["traffic"]["during_rollout"], figures["retraining"]
    console.print(
        f"during the rollout: {traffic['requests']} requests, {traffic['failed']} failed, "
        f"median {traffic['p50_ms']} ms, p99 {traffic['p99_ms']} ms",
        highlight=False,
    )
    console.print(
        f"retraining requested by the sensor: {retraining['run_id']} ({retraining['status']})", highlight=False
    )
    console.print(f"figures: {home / 'demo' / 'summary.json'}\nlook around: {look}", highlight=False)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")


def _data(figures: Mapping[str, Any]) -> Table:
    data = figures["data"]
    table = _table(
        f"tables: {data['sessions_materialized']} sessions, {data['features_per_row']} features", "table", "rows"
    )
    for name, rows in data["rows"].items():
        table.add_row(name, f"{rows:,}")
    return table


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _models(figures: Mapping[str, Any]) -> Table:
    table = _table(
        "models, out of fold, with 95 % intervals", "model, session", "version", "rows", "AUC", "above baseline"
    )
    for column in ("accuracy", "Sharpe net", "verdict"):
        table.add_column(column)
    for name, model in figures["models"].items():
        found = model["figures"]
        verdict = "[green]approved[/green]" if model["approved"] else "[red]rejected[/red]"
        table.add_row(
            name,
            model["registry_version"],
            f"{found['n']:,}",
            _interval(found["auc"]),
            _interval(found["auc_vs_baseline"]),
            _interval(found["accuracy"]),
            _interval(found["backtest"]["sharpe_net"]),
            verdict,
        )
    return table


def _gates(figures: Mapping[str, Any]) -> list[Table]:
    tables = []
    for name, model in figures["models"].items():
        table = _table(f"gates of {name} ({model['gate_profile']})", "gate", "value", "needed", "outcome")
        for gate in model["gates"]:
            outcome = "[green]pass[/green]" if gate["passed"] else "[red]miss[/red]"
            table.add_row(gate["name"], f"{gate['value']:.4g}", f"{gate['op']} {gate['threshold']:g}", outcome)
        tables.append(table)
    return tables


def _rollout(figures: Mapping[str, Any]) -> Table:
    table = _table("rollouts", "version", "share %", "started", "requests", "errors", "p99 ms", "outcome")
    for rollout in figures["rollouts"]:
        for step in rollout["steps"]:
            p99 = "-" if step["p99_ms"] is None else f"{step['p99_ms']:.1f}"
            table.add_row(
                f"{rollout['from_version'] or 'none'} -> {rollout['version']}",
                f"{step['weight']:g}",
                str(step["started_at"])[11:19],
                str(step["requests"]),
                str(step["errors"]),
                p99,
                str(step["outcome"]),
            )
        table.add_row("", "", "", "", "", "", rollout["state"], end_section=True)
    return table


def _drift(figures: Mapping[str, Any]) -> Table:
    before, after = figures["drift"]["before"], figures["drift"]["after"]
    table = _table("population stability index", "feature", f"before ({before['level']})", f"after ({after['level']})")
    ranked = sorted(after["psi"], key=lambda name: -after["psi"][name])
    for name in ranked[:TOP_DRIFT]:
        table.add_row(name, f"{before['psi'][name]:.3f}", f"{after['psi'][name]:.3f}")
    table.add_row(f"... and {len(ranked) - TOP_DRIFT} more", "", "")
    return table


def _cost(figures: Mapping[str, Any]) -> Table:
    table = _table("time and memory", "phase", "seconds")
    for name, seconds in figures["seconds"].items():
        if name != "total":
            table.add_row(name, f"{seconds:.1f}")
    table.add_row("total", f"{figures['seconds']['total']:.1f}", style="bold")
    if (memory := figures["peak_memory_mib"]) is not None:
        table.add_row("peak memory (proportional, all processes)", f"{memory:.0f} MiB", style="bold")
    return table
