"""The bronze files of some sessions, each opened and compared with the hashes that its header and its name state."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from fx_assets.bronze import reference
from fx_assets.bronze.files import ALL_NEWS, NEWS, PART, SUFFIX, Bronze
from fx_assets.inputs import REFERENCE_TABLES
from fx_assets.trace.link import Link

_AT_ONCE = 256


def bronze_link(
    bronze: Bronze,
    needed: Mapping[str, Sequence[str]],
    instruments: Sequence[str],
    progress: Callable[[int], None] = lambda done: None,
) -> Link:
    """The link to the files and who answered them. needed: bronze table -> sessions. instruments: those configured.

    progress: called with how many files were read.
    """
    paths: list[str] = []
    problems: list[str] = []
    for table, sessions in needed.items():
        if table in REFERENCE_TABLES:
            copy = reference.newest(bronze, table)
            paths += [] if copy is None else [copy]
            continue
        names = [ALL_NEWS] if table == NEWS else list(instruments)
        found = [path for session in sessions for path in bronze.files(table, session, names)]
        problems += _archived(bronze, table, sessions, names, found)
        paths += found
    sources: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for first in range(0, len(paths), _AT_ONCE):
        some = paths[first : first + _AT_ONCE]
        contents = bronze.store.read_all(some)
        for path in some:
            source, count, problem = _verify(path, contents.get(path))
            if problem:
                problems.append(f"{bronze.store.url}/{path}: {problem}")
            else:
                sources[source] += 1
                rows[source] += count
        progress(len(some))
    told = ", ".join(f"{name} {count:,} files ({rows[name]:,} rows)" for name, count in sorted(sources.items()))
    facts = {"files": len(paths), "sources": dict(sorted(sources.items())), "paths": paths}
    return Link("bronze", f"{len(paths):,} files: {told or 'none'}", facts, problems)


def _archived(
    bronze: Bronze, table: str, sessions: Sequence[str], names: Sequence[str], paths: Sequence[str]
) -> list[str]:
    """Files that lie in the archive only cannot be verified here."""
    there = set().union(*bronze.sessions(table, names).values())
    here = {PurePosixPath(path).parent.name.partition("=")[2] for path in paths}
    gone = [session for session in sessions if session in there - here]
    if not gone:
        return []
    return [
        f"{table}: the files of {len(gone)} sessions from {gone[0]} on were archived and removed. Bring them back with "
        f"`fx archive restore --month {gone[0][:7]}`."
    ]


def _verify(path: str, content: bytes | None) -> tuple[str, int, str]:
    """(source, rows, what is wrong with the file, if anything)."""
    if content is None:
        return "", 0, "is gone since it was listed"
    name = PurePosixPath(path).name
    if not name.endswith(SUFFIX):
        told, found = reference.content_of(path), hashlib.sha256(content).hexdigest()
        wrong = "" if found.startswith(told) else f"its content is {found[:12]}, its name says {told}"
        return PurePosixPath(path).parent.name, 1, wrong
    try:
        line, _, body = gzip.decompress(content).partition(b"\n")
        header = msgspec.json.decode(line)
        source, told, rows = header["source"], header["sha256"], int(header["rows"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        return "", 0, f"cannot be read: {error}"
    found = hashlib.sha256(body).hexdigest()
    if found != told:
        return source, rows, f"its rows have the hash {found[:12]}, its header says {str(told)[:12]}"
    named = name.removesuffix(SUFFIX).removesuffix(PART).partition("-")[2]
    if hashlib.sha256(f"{source}\n{told}".encode()).hexdigest()[: len(named)] != named or not named:
        return source, rows, f"source {source} and rows {told[:12]} do not give the hash in its name, {named}"
    return source, rows, ""
