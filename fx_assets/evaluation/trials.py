"""The ledger of trials: everything that was ever tried on a model, so that its figures can be deflated by it.

One JSON file for each model, session and source: models/<model>/trials/session=<session>/<source>.json. Entries are
only ever added, and one that is there already is not counted again: running a step twice changes nothing. A step reads
what was tried up to its own session, so that an old session can be made again with the figures it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec
import pandas as pd

from fx_assets.evaluation.deflated import sharpe
from fx_assets.evaluation.spec import Ledger, StudySpec, plain_candidate
from fx_assets.storage.base import Store

Source = Literal["candidates", "search", "strategy"]
CANDIDATE = "candidate"


class Lake(Protocol):
    """What the ledger needs of the lake: the store that holds its files."""

    @property
    def store(self) -> Store: ...


class Entry(msgspec.Struct, frozen=True):
    """One trial. id: see `identity`; sharpe: net Sharpe ratio per day, not annualised, where it was traded to the end;
    detail: what was tried, in plain values.
    """

    id: str
    source: Source
    name: str
    sharpe: float | None = None
    detail: dict[str, Any] = {}


def identity(what: str, /, **settings: Any) -> str:
    """A short name for a kind of trial with these settings; equal settings have equal names, in any order."""
    plain = msgspec.json.encode({"what": what, **settings}, order="sorted")
    return hashlib.sha256(plain).hexdigest()[:20]


def candidate_identity(candidate: Mapping[str, Any], spec: StudySpec) -> str:
    """The identity of a candidate, whoever tries it: its name does not matter, label and features do."""
    settings = {key: value for key, value in plain_candidate(candidate).items() if key != "name"}
    return identity(
        CANDIDATE, candidate=settings, label=spec.label or spec.label_kind, features=sorted(spec.feature_names)
    )


def add(lake: Lake, model: str, session: str, entries: Iterable[Entry]) -> int:
    """Put entries into the model's ledger; returns how many were not in the session's file yet."""
    added = 0
    by_source: dict[str, list[Entry]] = {}
    for entry in entries:
        by_source.setdefault(entry.source, []).append(entry)
    for source, given in sorted(by_source.items()):
        path = f"{_folder(model)}/session={session}/{source}.json"
        known = {entry.id: entry for entry in _read(lake, [path])}
        new = {entry.id: entry for entry in given if entry.id not in known}
        if new:
            kept = [known[key] if key in known else new[key] for key in sorted(known | new)]
            lake.store.write(path, msgspec.json.format(msgspec.json.encode(kept), indent=1))
            added += len(new)
    return added


def entries(lake: Lake, model: str, until: str) -> list[tuple[str, Entry]]:
    """(session, entry) of every trial up to a session, that one included; by session, source and id."""
    paths = [path for path in lake.store.list(_folder(model)) if path.endswith(".json") and _session(path) <= until]
    found = [(_session(path), entry) for path in paths for entry in _read(lake, [path])]
    return sorted(found, key=lambda item: (item[0], item[1].source, item[1].id))


def load(lake: Lake, model: str, until: str, without: Iterable[str] = ()) -> Ledger:
    """What was tried up to a session, each trial once. without: ids that the caller counts itself."""
    return _ledger((entry for _, entry in entries(lake, model, until)), without)


def with_ledger(spec: StudySpec, lake: Lake, model: str, session: str) -> StudySpec:
    """The spec with the trials made before its study.

    Left out are its own candidates, which the study counts, and what was tried on this session's study afterwards
    (strategies): making the session again gives the same figures.
    """
    own = [candidate_identity(candidate, spec) for candidate in spec.candidates]
    before = (e for when, e in entries(lake, model, session) if e.source != "strategy" or when < session)
    return msgspec.structs.replace(spec, ledger=_ledger(before, own))


def of_study(spec: StudySpec, daily_net: pd.DataFrame) -> list[Entry]:
    """A study's candidates as entries. daily_net: net return of each day, one column for each candidate's name."""
    return [
        Entry(
            candidate_identity(candidate, spec),
            "candidates",
            candidate["name"],
            sharpe(daily_net[candidate["name"]].to_numpy(float)),
            dict(plain_candidate(candidate)),
        )
        for candidate in spec.candidates
    ]


def _ledger(found: Iterable[Entry], without: Iterable[str]) -> Ledger:
    left_out = set(without)
    counted: dict[str, Entry] = {}
    for entry in found:
        if entry.id not in left_out:
            counted.setdefault(entry.id, entry)
    sources: dict[str, int] = {}
    for entry in counted.values():
        sources[entry.source] = sources.get(entry.source, 0) + 1
    sharpes = tuple(entry.sharpe for entry in counted.values() if entry.sharpe is not None)
    return Ledger(len(counted), sharpes, dict(sorted(sources.items())))


def _folder(model: str) -> str:
    return f"models/{model}/trials"


def _session(path: str) -> str:
    return path.rsplit("/", 2)[-2].removeprefix("session=")


def _read(lake: Lake, paths: Iterable[str]) -> list[Entry]:
    """Raises ValueError for a file that is not a ledger."""
    found: list[Entry] = []
    for path, content in lake.store.read_all(paths).items():
        try:
            found += msgspec.json.decode(content, type=list[Entry])
        except ValueError as error:
            raise ValueError(
                f"{path}: no ledger of trials: {error}. Restore it; trials must not be forgotten."
            ) from None
    return found
