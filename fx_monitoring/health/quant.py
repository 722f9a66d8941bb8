"""The tiers of data, models and money, from what the other monitoring assets and the service say.

Each reader returns what it found and nothing else; each judge is a pure function of that. A past session is judged by
its own records; what only the present can tell (service, data age, SLO, machine) belongs to the running session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fx_assets.configuration import Configuration
from fx_assets.errors import FxError
from fx_assets.freshness.newest import Lag, table_lags
from fx_assets.lake import Lake
from fx_assets.models.rollout import service_url
from fx_assets.sessions import running_session, session_bounds
from fx_monitoring.configuration.health import Health as Policy
from fx_monitoring.deployed import deployed_models
from fx_monitoring.health.errors import Errors, note
from fx_monitoring.health.tiers import Colour, Tier, falling, latest_infrastructure, rising, unknown, worst
from fx_monitoring.stored import record
from fx_monitoring.trading.figures import Ratio, TradingFigures, latest
from fx_serving.client.errors import ServiceError
from fx_serving.client.files import DamagedFile, read_json
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient

TIMEOUT_S = 5.0
# Fewer requests say little about a share of errors.
MIN_REQUESTS = 20
# A verdict on the machine that is older says nothing about now.
STALE = timedelta(hours=1)
FEATURES = "gold/features"


def quant_tiers(
    stores: Stores, lake: Lake, configuration: Configuration, policy: Policy, session: str, at: datetime, wall: datetime
) -> list[Tier]:
    """The tiers of one session as of `at` (data clock); wall: operational time, for the age of what machines wrote."""
    deployed = deployed_models(stores, configuration)
    running = session >= running_session(at, configuration.all_week)
    trading = _trading(stores, configuration, session, at)
    tiers = [
        judge_drift(_drift(stores, lake, deployed, session, running), policy),
        judge_quality(_quality(stores, lake, deployed, session, running), policy),
        judge_drawdown(trading, policy),
        judge_sharpe(trading, policy),
    ]
    if running:
        found = ask_service(stores)
        tiers += [
            judge_data_age(_lags(lake, configuration, at), policy),
            judge_service(found),
            judge_errors(None if isinstance(found, str) else _errors(stores, found[1], policy, wall), policy),
            judge_slo(_state(stores.home / "monitoring" / "slo.json"), policy),
            judge_machine(stores, wall),
        ]
    return [tier for tier in tiers if tier.name not in policy.skip]


# ---- data and models ----------------------------------------------------------------------------------------------


def judge_drift(found: Mapping[str, Mapping[str, Any] | None], policy: Policy) -> Tier:
    """The worst action of any deployed model. found: its drift status, None without one."""
    remedy = "Open the drift report (fx reports, or the asset drift_report) and read what it explains drift by."
    parts: list[tuple[Colour, str]] = []
    for model, status in found.items():
        if status is None:
            parts.append(("YELLOW", f"{model}: unknown, no drift report yet"))
            continue
        action = status.get("action", "none")
        reasons = (status.get("decision") or {}).get("reasons") or [f"level {status.get('level', 'unknown')}"]
        colour: Colour = policy.drift.get(action, "YELLOW")
        if status.get("level") == "inconclusive" and colour == "GREEN":
            colour = "YELLOW"
        parts.append((colour, f"{model}: action {action}, {'; '.join(map(str, reasons))}"))
    return _joined("drift", parts, "no model is deployed", remedy)


def judge_quality(found: Mapping[str, Mapping[str, Any] | None], policy: Policy) -> Tier:
    """The worst verdict of any deployed model. found: {verdict, reasons}, None without one."""
    remedy = "Compare the model with its model card (asset prediction_quality); retrain it, or roll it back."
    parts: list[tuple[Colour, str]] = []
    for model, row in found.items():
        if row is None:
            parts.append(("YELLOW", f"{model}: unknown, no outcome has been held against it yet"))
        else:
            reasons = "; ".join(row.get("reasons") or ())
            colour: Colour = policy.quality.get(row["verdict"], "YELLOW")
            parts.append((colour, f"{model}: {row['verdict']}{', ' + reasons if reasons else ''}"))
    return _joined("quality", parts, "no model is deployed", remedy)


def judge_data_age(lags: Sequence[Lag] | str, policy: Policy) -> Tier:
    """Trading time without new features, of the instrument that is furthest behind. lags: or why there are none."""
    remedy = "See fx status; run `fx backfill` for the session that is missing, and look at the source."
    if isinstance(lags, str):
        return unknown("data_age", lags, remedy)
    if empty := [lag.instrument for lag in lags if lag.lag_minutes is None and lag.expected is not None]:
        return Tier("data_age", "RED", None, None, f"{FEATURES} has no row of {', '.join(empty)}", remedy)
    newest = max(lags, key=lambda lag: lag.lag_minutes or 0.0, default=None)
    if newest is None:
        return unknown("data_age", "no instrument is configured", remedy)
    words = f"{FEATURES} is {{:.0f}} min of trading time behind ({newest.instrument})"
    return rising("data_age", newest.lag_minutes or 0.0, policy.data_age_minutes, words, remedy)


# ---- money --------------------------------------------------------------------------------------------------------


def judge_drawdown(found: TradingFigures | None, policy: Policy) -> Tier:
    """Paper trading's deepest fall. Few trades make it no better known, but a deep one is one all the same."""
    remedy = "Stop trading the model (monitoring.yaml: trading.models), and look at its trades (asset paper_trading)."
    if found is None or not found.trades:
        return unknown("drawdown", "paper trading has closed no trade yet", "Start it: fx up, or the job paper_trade.")
    tier = rising("drawdown", found.max_drawdown_pct, policy.drawdown_pct, "maximum drawdown {:.2f} %", remedy)
    return _few(tier, found)


def judge_sharpe(found: TradingFigures | None, policy: Policy) -> Tier:
    """Paper trading's Sharpe ratio over everything; RED only where its whole interval lies below the limit."""
    remedy = "The model does not earn its costs: raise strategy.threshold, stop trading it, or train it anew."
    ratio = None if found is None else found.sharpe.get("all")
    if found is None or ratio is None or ratio.value is None:
        days = 0 if ratio is None else ratio.days
        return unknown("sharpe", f"{days} days of paper trading", "Wait: it takes at least three days with trades.")
    limits = policy.sharpe
    words = _interval(ratio)
    certain = ratio.high is not None and ratio.high < limits.red
    colour: Colour = "RED" if certain else "YELLOW" if ratio.value <= limits.yellow else "GREEN"
    limit = f"YELLOW up to {limits.yellow:g}, RED where the interval lies below {limits.red:g}"
    return _few(Tier("sharpe", colour, ratio.value, limit, words, remedy if colour != "GREEN" else ""), found)


def _few(tier: Tier, found: TradingFigures) -> Tier:
    """A good figure of few trades is not known to be good."""
    if found.enough or tier.status != "GREEN":
        return tier
    why = f"unknown: {found.trades} of {found.min_trades} trades; so far {tier.why}"
    return msgspec.structs.replace(tier, status="YELLOW", why=why, remedy="Wait for more trades.")


def _interval(ratio: Ratio) -> str:
    known = f" [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio.low is not None and ratio.high is not None else ""
    return f"Sharpe ratio {ratio.value:.2f}{known} over {ratio.days} days"


# ---- the service and the platform ---------------------------------------------------------------------------------


def ask_service(stores: Stores) -> tuple[dict[str, Any], dict[str, Any]] | str:
    """(health, traffic) of the deployment service, or in words why not."""
    try:
        with ServingClient(service_url(stores), TIMEOUT_S) as client:
            return client.health(), client.traffic()
    except ServiceError as error:
        return str(error.detail)


def judge_service(found: tuple[dict[str, Any], dict[str, Any]] | str) -> Tier:
    """Whether the deployment service answers and all its parts are well."""
    if isinstance(found, str):
        return Tier("service", "RED", None, None, found, "Start it: fx up, or fx serve; its log is logs/serving.log.")
    health = found[0]
    bad = [
        f"{name}: {part.get('reason', part['status'])}"
        for name, part in health["components"].items()
        if part["status"] != "ok"
    ]
    if health["status"] == "ok":
        return Tier("service", "GREEN", "ok", None, "the deployment service answers, every part is well")
    return Tier("service", "YELLOW", health["status"], None, "; ".join(bad), "Mend what is said there: GET /health.")


def judge_errors(found: Errors | None, policy: Policy) -> Tier:
    """The share of errors among the service's answers of the last hours; None where it does not answer."""
    remedy = "See logs/serving.log and GET /traffic; roll back a new version: fx rollout abort."
    if found is None:
        return unknown("service_errors", "the service does not answer", "Start it: fx up, or fx serve.")
    since = f"since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else "since the service's start"
    if found.asked < MIN_REQUESTS:
        return unknown("service_errors", f"{found.asked} requests {since}", "Wait for more requests.")
    words = f"{found.failed} of {found.asked} answers {since} were errors ({{:.2%}})"
    return rising("service_errors", found.failed / found.asked, policy.service_error_share, words, remedy)


def judge_slo(found: Mapping[str, Any] | None, policy: Policy) -> Tier:
    """The service-level objective with the least error budget left. found: slo.json."""
    remedy = "See which runs missed it (asset pages, logs/dagster.log), and mend the job before anything else."
    if found and "unread" in found:
        return unknown("slo", found["reasons"][0], remedy)
    rows = [row for row in (found or {}).get("rows", ()) if row.get("budget_left") is not None]
    if not rows:
        return unknown("slo", "no service-level objective has runs yet", "Wait, or look whether fx up is running.")
    least = min(rows, key=lambda row: row["budget_left"])
    words = f"{least['name']}: {{:.0%}} of the error budget left"
    return falling("slo", float(least["budget_left"]), policy.slo_budget_left, words, remedy)


def judge_machine(stores: Stores, wall: datetime) -> Tier:
    """What infrastructure_health said last."""
    found = latest_infrastructure(stores)
    if found is None or wall - found.at > STALE:
        when = "never" if found is None else f"last at {found.at:%Y-%m-%d %H:%M} UTC"
        return unknown("infrastructure", f"it was looked at {when}", "Materialize infrastructure_health.")
    remedy = next((tier.remedy for tier in found.tiers if tier.status == found.status), "")
    why = "; ".join(found.reasons) or "machine and programs are well"
    return Tier("infrastructure", found.status, found.status, None, why, remedy if found.status != "GREEN" else "")


# ---- reading ------------------------------------------------------------------------------------------------------


def _drift(
    stores: Stores, lake: Lake, models: Iterable[str], session: str, running: bool
) -> dict[str, Mapping[str, Any] | None]:
    if running:
        return {model: _state(stores.drift / f"{model}.json") for model in models}
    kept = _of_session(lake, "drift_report", session) or {}
    return {model: kept if "unread" in kept else kept.get(model) for model in models}


def _quality(
    stores: Stores, lake: Lake, models: Iterable[str], session: str, running: bool
) -> dict[str, Mapping[str, Any] | None]:
    if running:
        return {model: _headline(_state(stores.quality / f"{model}.json"), model) for model in models}
    kept = _of_session(lake, "prediction_quality", session)
    return {model: _headline(kept, model) for model in models}


def _headline(kept: Mapping[str, Any] | None, model: str) -> Mapping[str, Any] | None:
    """What stands for a model in what is kept of its quality."""
    from fx_monitoring.quality.rows import QualityRow, headline

    if kept is None or "unread" in kept:
        return kept
    own = [row for row in kept.get("rows", ()) if row.get("model") == model]
    try:
        row = headline(msgspec.convert(own, list[QualityRow]))
    except msgspec.ValidationError as error:  # of another version: one model is unknown, and all else is judged
        return _unread(error)
    return None if row is None else {"verdict": row.verdict, "reasons": row.reasons}


def _state(path: Path) -> dict[str, Any] | None:
    """A state file; of a damaged one what is wrong with it, in the place of reasons."""
    try:
        return read_json(path)
    except DamagedFile as error:
        return _unread(error)


def _of_session(lake: Lake, asset: str, session: str) -> dict[str, Any] | None:
    try:
        return record(lake, asset, session)
    except FxError as error:
        return _unread(error)


def _unread(why: Exception) -> dict[str, Any]:
    told = [str(why)]
    return {"unread": True, "action": "unknown", "verdict": "unknown", "reasons": told, "decision": {"reasons": told}}


def _errors(stores: Stores, traffic: Mapping[str, Any], policy: Policy, wall: datetime) -> Errors:
    return note(stores, traffic, wall, policy.service_error_hours)


def _trading(stores: Stores, configuration: Configuration, session: str, at: datetime) -> TradingFigures | None:
    try:
        return latest(stores, configuration, min(at, session_bounds(session)[1]))
    except FxError:
        return None  # a damaged file is told by what trades; here the figures are unknown


def _lags(lake: Lake, configuration: Configuration, at: datetime) -> list[Lag] | str:
    try:
        return table_lags(lake, configuration, FEATURES, at)
    except FxError as error:
        return str(error)


def _joined(name: str, parts: Sequence[tuple[Colour, str]], nothing: str, remedy: str) -> Tier:
    """One tier of several models: the worst colour, everybody's words, the worst first."""
    if not parts:
        return unknown(name, nothing, "Deploy one: see docs/rollouts.md.")
    colour = worst(part[0] for part in parts)
    words = [word for _, word in sorted(parts, key=lambda part: part[0] != colour)]
    return Tier(name, colour, colour, None, "; ".join(words), remedy if colour != "GREEN" else "")
