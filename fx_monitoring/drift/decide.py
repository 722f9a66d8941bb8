"""What is done about drift: a pure function of a model's readings, one for each judged session.

    none, minor -> log      moderate -> alert      critical, confirmed -> retrain      a broken feed -> block

A retraining costs hours and puts another model in front of clients, so it needs a critical index in several judged
windows running that share no rows, and rests while the cool-down lasts (hold). A broken feed is no market to learn: it
blocks, whatever the index is, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from fx_monitoring.configuration.drift import DriftPolicy
from fx_monitoring.drift.psi import CRITICAL, MINOR, MODERATE, Level, level
from fx_serving.client.clock import parse_utc

Action = Literal["none", "log", "alert", "retrain", "hold", "block"]
Cause = Literal["market", "feed"]

_EDGES: dict[str, float] = {"none": 0.0, "minor": MINOR, "moderate": MODERATE, "critical": CRITICAL}
_ORDER: tuple[Level, ...] = ("none", "minor", "moderate", "critical")


@dataclass(frozen=True)
class Reading:
    """What one drift report found; kept in its record, so that any session can be decided again.

    since: the first session whose rows it was judged by, where a session alone has too few (pool.py); None: its own
    rows alone. at: data time. value: the largest index that is more than chance (report.DriftReport.value); None where
    the window was inconclusive. kl: of the predictions, None where it is no more than chance or unknown. data_age_h:
    open market hours. quality_drop, calibration_drift: relative to the model card, None without evidence. feed: what
    speaks of a broken feed, in words; sound: nothing in the session's own rows does, so that later sessions may be
    judged with them. asked, verdict: when the newest retraining of this model was decided, and by which verdict.
    """

    session: str
    at: datetime
    version: str
    rows: int
    value: float | None
    kl: float | None = None
    data_age_h: float | None = None
    quality_drop: float | None = None
    calibration_drift: float | None = None
    feed: tuple[str, ...] = ()
    asked: datetime | None = None
    verdict: str | None = None
    since: str | None = None
    sound: bool = True

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        times = {"at": self.at.isoformat(), "asked": self.asked.isoformat() if self.asked else None}
        return {part.name: getattr(self, part.name) for part in fields(self)} | times | {"feed": list(self.feed)}

    @classmethod
    def of_record(cls, found: dict[str, Any]) -> Reading:
        """From what `record` gave."""
        made: dict[str, Any] = {**found, "at": parse_utc(found["at"]), "feed": tuple(found["feed"])}
        made["asked"] = parse_utc(found["asked"]) if found["asked"] else None
        return cls(**made)


@dataclass(frozen=True)
class Trigger:
    """One thing that was looked at and is beyond its limit, and what it asks for by itself."""

    name: Literal["psi", "data_age", "prediction_kl", "quality", "calibration", "feed"]
    value: float
    limit: float
    action: Action


@dataclass(frozen=True)
class Decision:
    """band: after hysteresis, since session `entered`. readings: judged sessions it rests on; confirmed: how many of
    them without a row in common, of the newest ones running, ask for retraining. verdict: names this retraining; the
    same while it stands.
    """

    action: Action
    cause: Cause | None
    band: Level
    entered: str | None
    readings: int
    confirmed: int
    verdict: str | None = None
    cool_down_until: datetime | None = None
    asked: datetime | None = None
    reasons: tuple[str, ...] = ()
    triggers: tuple[Trigger, ...] = field(default=())


def held_band(held: Level, value: float, margin: float) -> Level:
    """The band after a value: a higher one is entered at its edge, the held one left only `margin` below its own."""
    found = level(value)
    if _ORDER.index(found) >= _ORDER.index(held):
        return found
    for band in reversed(_ORDER[: _ORDER.index(held) + 1]):
        if value >= _EDGES[band] - margin or band == "none":
            return band
    return "none"


def decide(readings: Sequence[Reading], policy: DriftPolicy) -> Decision:
    """What follows from the newest reading and those before it.

    readings: of one model, any order; of a session judged several times the newest reading counts. Bands and
    confirmation start anew with each version; the cool-down does not. Raises ValueError without a reading.
    """
    if not readings:
        raise ValueError("decide: no reading. Judge a session first.")
    ordered = sorted(readings, key=lambda reading: (reading.session, reading.at))
    now = ordered[-1]
    sessions = list({reading.session: reading for reading in ordered if reading.version == now.version}.values())
    band, entered = _band(sessions, policy)
    triggers = _triggers(now, band, policy)
    judged = [at for at in range(len(sessions)) if _is_evidence(sessions[at], policy)]
    confirmed = _confirmed([(sessions[at], _asks(sessions[: at + 1], policy)) for at in judged])
    found = Decision("none", None, band, entered, len(judged), confirmed, triggers=tuple(triggers))
    if _is_broken(now, policy):
        return _with(found, "block", "feed", reasons=_feed_words(now, policy))
    if not _is_evidence(now, policy):
        return _with(found, "none", None, reasons=(f"{now.rows} distinct rows: too few for a verdict",))
    wanted = {trigger.action for trigger in triggers}
    cause: Cause | None = "market" if wanted else None
    words = tuple(_words(trigger) for trigger in triggers)
    if "retrain" not in wanted:
        told = words or (f"the largest index that counts is {now.value or 0:.3f}: {band}",)
        return _with(found, "alert" if "alert" in wanted else "log", cause, reasons=told)
    return _retraining(found, ordered, now, policy, words)


def _retraining(
    found: Decision, ordered: Sequence[Reading], now: Reading, policy: DriftPolicy, words: tuple[str, ...]
) -> Decision:
    """Of a reading that asks for retraining: whether it gets it."""
    if found.confirmed < policy.confirm_sessions:
        told = f"{found.confirmed} of {policy.confirm_sessions} judged {_windows(now)} running: not confirmed"
        return _with(found, "alert", "market", reasons=(*words, told))
    own = f"{now.version}-{now.session}"
    asked = max((r for r in ordered if r.asked), key=lambda r: r.asked or r.at, default=None)
    if asked is not None and asked.asked is not None:
        until = asked.asked + timedelta(hours=policy.cool_down_hours)
        if asked.verdict == own:  # the same session, judged again: the verdict stands, and is asked for once
            return _with(found, "retrain", "market", own, until, asked.asked, words)
        if now.at < until:
            told = f"cooling down until {until:%Y-%m-%d %H:%M} UTC, after {asked.verdict}"
            return _with(found, "hold", "market", asked.verdict, until, asked.asked, (*words, told))
    until = now.at + timedelta(hours=policy.cool_down_hours)
    return _with(found, "retrain", "market", own, until, now.at, words)


def _with(
    found: Decision,
    action: Action,
    cause: Cause | None,
    verdict: str | None = None,
    until: datetime | None = None,
    asked: datetime | None = None,
    reasons: tuple[str, ...] = (),
) -> Decision:
    kept = {part.name: getattr(found, part.name) for part in fields(found)}
    return Decision(
        **kept
        | {
            "action": action,
            "cause": cause,
            "verdict": verdict,
            "cool_down_until": until,
            "asked": asked,
            "reasons": reasons,
        }
    )


def _is_broken(reading: Reading, policy: DriftPolicy) -> bool:
    """Whether the feed was broken, or what it gave too old to act on."""
    return bool(reading.feed) or (reading.data_age_h is not None and reading.data_age_h > policy.data_age_hours)


def _is_evidence(reading: Reading, policy: DriftPolicy) -> bool:
    """Whether a session says anything about the market: judged, and not by a broken feed."""
    judged = reading.value is not None or reading.quality_drop is not None or reading.calibration_drift is not None
    return judged and not _is_broken(reading, policy)


def _band(sessions: Sequence[Reading], policy: DriftPolicy) -> tuple[Level, str | None]:
    """The band after all judged sessions, and the session that entered it."""
    band: Level = "none"
    entered: str | None = None
    for reading in sessions:
        if reading.value is None or _is_broken(reading, policy):
            continue
        after = held_band(band, reading.value, policy.margin)
        if after != band or entered is None:
            band, entered = after, reading.session
    return band, entered


def _confirmed(judged: Sequence[tuple[Reading, frozenset[str]]]) -> int:
    """How many of the newest readings that ask without a break share no rows, each with what asks in it.

    What was pooled from several sessions is one piece of evidence however often it is judged. The quality of answers is
    of its own sessions.
    """
    count, before = 0, None
    for reading, asked in reversed(judged):
        if not asked:
            break
        if before is None or reading.session < before:
            count += 1
            before = reading.session if asked != {"psi"} else reading.since or reading.session
    return count


def _asks(sessions: Sequence[Reading], policy: DriftPolicy) -> frozenset[str]:
    """What in the newest of the sessions asks for retraining, confirmed or not."""
    band, _ = _band(sessions, policy)
    return frozenset(t.name for t in _triggers(sessions[-1], band, policy) if t.action == "retrain")


def _triggers(reading: Reading, band: Level, policy: DriftPolicy) -> list[Trigger]:
    found: list[Trigger] = []
    if reading.feed:
        found.append(Trigger("feed", float(len(reading.feed)), 0.0, "block"))
    if reading.data_age_h is not None and reading.data_age_h > policy.data_age_hours:
        found.append(Trigger("data_age", reading.data_age_h, policy.data_age_hours, "block"))
    if reading.value is not None and band in ("moderate", "critical"):
        found.append(Trigger("psi", reading.value, _EDGES[band], "retrain" if band == "critical" else "alert"))
    if reading.kl is not None and reading.kl > policy.prediction_kl:
        found.append(Trigger("prediction_kl", reading.kl, policy.prediction_kl, "alert"))
    if reading.quality_drop is not None and reading.quality_drop > policy.quality_drop:
        found.append(Trigger("quality", reading.quality_drop, policy.quality_drop, "retrain"))
    if reading.calibration_drift is not None and reading.calibration_drift > policy.calibration_drift:
        found.append(Trigger("calibration", reading.calibration_drift, policy.calibration_drift, "retrain"))
    return found


def _feed_words(reading: Reading, policy: DriftPolicy) -> tuple[str, ...]:
    age = reading.data_age_h
    old = age is not None and age > policy.data_age_hours
    return (*reading.feed, *((f"features are {age:.1f} open market hours old",) if old else ()))


def _windows(reading: Reading) -> str:
    return "windows without a row in common" if reading.since else "sessions"


def _words(trigger: Trigger) -> str:
    names = {"psi": "stability index", "prediction_kl": "divergence of the predictions", "quality": "quality drop"}
    return f"{names.get(trigger.name, trigger.name)} {trigger.value:.3f}, limit {trigger.limit:g}"
