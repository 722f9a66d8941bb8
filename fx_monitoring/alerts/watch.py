"""From the files that monitoring, automation and repair leave to the troubles there are: no Dagster, no sending.

Each source tells the whole truth about its kinds of trouble. One that cannot read its file raises, and then what is
open stays open: not knowing is not being well.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fx_monitoring.alerts.configuration import AlertsFile, variable
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.figures import figures
from fx_monitoring.alerts.heartbeat import DELIVERY
from fx_monitoring.alerts.model import Alert, Severity
from fx_serving.client.environment import read_result
from fx_serving.client.files import DamagedFile, read_json
from fx_serving.client.home import Stores

GIB = 2**30
_LISTED = 5
_MISSED_WITHIN = timedelta(hours=24)


class Scene(NamedTuple):
    """What a source may look at."""

    stores: Stores
    configuration: AlertsFile
    now: datetime


class Source(NamedTuple):
    """names: the kinds of trouble that `find` tells everything about. over: why one of them is over."""

    names: tuple[str, ...]
    find: Callable[[Scene], Iterator[Alert]]
    over: str


def look(desk: Desk, stores: Stores) -> list[str]:
    """Bring the desk to what the sources say; what could not be looked at, in words."""
    scene, unread = Scene(stores, desk.configuration, desk.clock()), []
    for source in SOURCES:
        try:
            found = list(source.find(scene))
        except Exception as error:  # whatever one file holds, the others are looked at
            told = str(error) if isinstance(error, DamagedFile) else f"{type(error).__name__}: {error}"
            unread.append(f"{source.names[0]}: {told}")
            continue
        desk.reconcile(source.names, found, source.over)
    return unread


def _assets(scene: Scene, key: str) -> str:
    return f"{scene.configuration.links.dagster.rstrip('/')}/assets/{key}"


# ---- models -------------------------------------------------------------------------------------------------------

_DRIFT: dict[str, Severity] = {"alert": "warning", "hold": "warning", "retrain": "critical", "block": "critical"}


def _drift(scene: Scene) -> Iterator[Alert]:
    for path in sorted(scene.stores.drift.glob("*.json")):
        status = read_json(path)
        if status is None or (severity := _DRIFT.get(status.get("action", ""))) is None:
            continue
        model, broken = status["model"], status["action"] == "block"
        reasons = [str(reason) for reason in (status.get("decision") or {}).get("reasons", [])]
        explains = [f"{e['feature']} (PSI {e['psi']:.2f})" for e in (status.get("explains") or [])[:_LISTED]]
        told = f"Session {status['session']}: {status['level']}, action {status['action']}; {'; '.join(reasons)}."
        yield Alert(
            key=f"{'FeedBroken' if broken else 'FeatureDrift'}/{model}",
            severity=severity,
            owner="data" if broken else "models",
            title=f"{model}: {'its feed looks broken' if broken else 'its features drift'} ({status['level']})",
            detail=told + (f" Most of it: {', '.join(explains)}." if explains else ""),
            link=_assets(scene, "drift_report"),
            remedy=(
                "Look at the source of these features (fx quality); nothing is retrained until the feed is whole."
                if broken
                else "Read the drift report; `fx automation show retrain_on_drift` says what was asked for."
            ),
        )


def _quality(scene: Scene) -> Iterator[Alert]:
    for path in sorted((scene.stores.home / "monitoring" / "quality").glob("*.json")):
        kept = read_json(path)
        rows = [] if kept is None else kept["rows"]
        worse = [row for row in rows if row["instrument"] == "all" and row["verdict"] == "worse"]
        if kept is None or not worse:
            continue
        windows = ", ".join(f"{row['window']} ({row['n']} predictions)" for row in worse)
        yield Alert(
            key=f"ModelQualityDrop/{kept['model']}",
            severity="warning",
            owner="models",
            title=f"{kept['model']} predicts worse than its model card promised",
            detail=f"Session {kept['session']}: worse over {windows}.",
            link=_assets(scene, "prediction_quality"),
            remedy="Compare with the model card (fx models); retrain or roll back if it lasts.",
        )


def _health(scene: Scene) -> Iterator[Alert]:
    verdict = read_json(scene.stores.health)
    if verdict is None or verdict["status"] == "GREEN":
        return
    red = verdict["status"] == "RED"
    tiers = [tier for tier in verdict["tiers"] if tier["status"] != "GREEN"]
    bad = sorted(tiers, key=lambda tier: tier["status"] != "RED")
    named = [tier["name"] for tier in bad if tier["status"] == verdict["status"]]
    yield Alert(
        key=f"{'QuantHealthRed' if red else 'QuantHealthYellow'}/all",
        severity="critical" if red else "warning",
        owner="trading",
        title=f"quant health is {verdict['status']}: {', '.join(named)}",
        detail=" ".join(f"{tier['name']} {tier['status']}: {tier['why']}." for tier in bad),
        link=_assets(scene, "quant_health"),
        remedy=next((tier["remedy"] for tier in bad if tier.get("remedy")), "Mend the tiers named above, worst first."),
    )


# ---- automation ---------------------------------------------------------------------------------------------------


def _environment(scene: Scene) -> Iterator[Alert]:
    check = read_result(scene.stores)
    if check is None or check.passed:
        return
    yield Alert(
        key="EnvironmentBlocked/trading",
        severity="critical",
        owner="trading",
        title="the environment check failed: trading steps are blocked",
        detail="; ".join(f"{finding.what}: {finding.remedy}" for finding in check.bad),
        link=f"{scene.configuration.links.dagster.rstrip('/')}/jobs",
        remedy="Mend what it found (fx doctor), then run the job environment_check again.",
    )


def _service_levels(scene: Scene) -> Iterator[Alert]:
    kept = read_json(scene.stores.home / "monitoring" / "slo.json")
    late: dict[str, list[dict[str, Any]]] = {}
    for row in [] if kept is None else kept["rows"]:
        for missed in row["missed"]:
            if missed["why"] != "failed" and scene.now - datetime.fromisoformat(missed["at"]) < _MISSED_WITHIN:
                late.setdefault(missed["row"], []).append(missed)
        if row["status"] in ("burning", "exhausted"):
            yield _budget(scene, row)
    for name, misses in sorted(late.items()):
        newest = max(misses, key=lambda missed: missed["at"])
        yield Alert(
            key=f"SlaMissed/{name}",
            severity="warning",
            owner="platform",
            title=f"{name} was late",
            detail=f"{newest['job']} at {newest['at']}: {newest['why']}. Within 24 h: {len(misses)}.",
            link=f"{scene.configuration.links.dagster.rstrip('/')}/runs/{newest['run_id']}".rstrip("/"),
            remedy="Look what the run waited for, or which step took long.",
        )


def _budget(scene: Scene, row: dict[str, Any]) -> Alert:
    spent = row["status"] == "exhausted"
    left = "none" if row["budget_left"] is None else f"{row['budget_left']:.0%}"
    return Alert(
        key=f"SloBudgetLow/{row['name']}",
        severity="critical" if spent else "warning",
        owner="platform",
        title=f"error budget of {row['name']} {'is used up' if spent else 'burns too fast'}",
        detail=f"Target {row['target']:.1%} over {row['window_days']} days; budget left {left}, of {row['runs']} runs.",
        link=f"{scene.configuration.links.dagster.rstrip('/')}/runs",
        remedy="Mend what fails most often before anything is changed or added.",
    )


# ---- machine ------------------------------------------------------------------------------------------------------


def _disk(scene: Scene) -> Iterator[Alert]:
    usage, limits = shutil.disk_usage(scene.stores.home), scene.configuration.disk
    free = usage.free / GIB
    if free >= limits.warning_gib:
        return
    yield Alert(
        key="DiskLow/home",
        severity="critical" if free < limits.critical_gib else "warning",
        owner="platform",
        title=f"{free:.1f} GiB free on the home's disk",
        # In whole percent: a detail that changes at each look would be news each time.
        detail=f"{scene.stores.home}: {usage.free / usage.total:.0%} of {usage.total / GIB:.0f} GiB are free.",
        link=f"{scene.configuration.links.dagster.rstrip('/')}/jobs/clean_up",
        remedy="Run the job clean_up, or move what is old; below the critical limit tables can no longer be written.",
    )


def _delivery(scene: Scene) -> Iterator[Alert]:
    found = figures(scene.stores, scene.now)
    if found is None:
        return
    limit = scene.configuration.delivery.failing_minutes * 60
    for route, settings in scene.configuration.routes.items():
        oldest, failed = found.oldest_waiting_s.get(route, 0.0), found.failed.get(route, 0)
        # What the route's limit holds back is due as well, but never for longer than its minutes.
        untried = found.oldest_untried_s.get(route, 0.0) - settings.limit.minutes * 60
        if oldest <= limit and untried <= limit and not failed:
            continue
        yield Alert(
            key=f"{DELIVERY}/{route}",
            severity="critical",
            owner="platform",
            title=f"alerts do not reach the route {route}",
            detail=f"{found.waiting.get(route, 0)} wait, {failed} were given up. Others may be told by another route.",
            link=f"{scene.configuration.links.dagster.rstrip('/')}/automation",
            remedy=f"fx alerts test --route {route} says what is wrong; then mend {variable(route)}.",
        )


SOURCES = (
    Source(("FeatureDrift", "FeedBroken"), _drift, "the newest drift report asks for nothing"),
    Source(("ModelQualityDrop",), _quality, "no window is worse than the model card any more"),
    Source(("QuantHealthRed", "QuantHealthYellow"), _health, "the newest verdict is another"),
    Source(("EnvironmentBlocked",), _environment, "the newest environment check passed"),
    Source(("SlaMissed", "SloBudgetLow"), _service_levels, "nothing was late for 24 h, or the budget recovers"),
    Source(("DiskLow",), _disk, "there is room again"),
    Source((DELIVERY,), _delivery, "messages are delivered again"),
)


# ---- events -------------------------------------------------------------------------------------------------------

REPAIRS = "repair_lines"


def repairs(desk: Desk, stores: Stores) -> int:
    """Fire for each file that was set aside and restored since this was asked last. Returns how many are new."""
    try:
        lines = stores.repairs.read_bytes().split(b"\n")[:-1]  # after the last line end: one that is being written
    except FileNotFoundError:
        return 0
    seen, fire = int(desk.read_to(REPAIRS) or 0), []
    for line in lines[seen if seen <= len(lines) else 0 :]:
        if (entry := _repair(line)) is None:
            continue
        restored = entry.get("restored_from")
        fire.append(
            Alert(
                key=f"FileRestored/{Path(entry['file']).name}",
                severity="critical",
                owner="platform",
                title=f"{Path(entry['file']).name} was damaged and {'restored' if restored else 'begun anew'}",
                detail=f"{entry['file']} at {entry['at']}: {entry['why']}. Set aside as {entry['set_aside']}; "
                + (f"restored from {restored}." if restored else "there was no verified copy: it starts empty."),
                link=f"{desk.configuration.links.dagster.rstrip('/')}/jobs/verified_copies",
                remedy="Find out what was written after the copy was made, and look at the disk; then fx alerts close.",
            )
        )
    return desk.apply(REPAIRS, str(len(lines)), fire) if fire else 0


def _repair(line: bytes) -> dict[str, Any] | None:
    """A line of the file. Who wrote the one before may have died within it: then the whole one begins after that."""
    for text in (line, line[max(line.rfind(b'{"'), 0) :]):
        try:
            entry = msgspec.json.decode(text, type=dict[str, Any])
        except ValueError:
            continue
        if {"file", "at", "why", "set_aside"} <= entry.keys():
            return entry
    return None
