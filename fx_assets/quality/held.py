"""Sessions that are held back because only their week shows that a clock is wrong: no file of a session can say so.

Every run that makes silver/candles judges its weeks here, whoever started it, and every run that reads them asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from filelock import FileLock

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import Configuration
from fx_assets.errors import DataError
from fx_serving.client.files import atomic_write

TABLE = "silver/candles"


class Held:
    """FX_HOME/runs/held.json: groups of sessions, each session with the digest of the fetches it was judged by."""

    def __init__(self, home: Path, bronze: Bronze, configuration: Configuration):
        self._path = home / "runs" / "held.json"
        self._bronze = bronze
        self._instruments = list(configuration.instruments.instruments)

    def sessions(self) -> set[str]:
        """Those held whose fetches are still the ones that failed."""
        groups = self._read()
        keys = sorted({key for group in groups for key in group})
        now = self._bronze.digests(CANDLES, keys, self._instruments) if keys else {}
        return {key for group in groups for key, digest in group.items() if digest == now[key]}

    def judge(self, judged: Mapping[str, str], bad: Iterable[Sequence[str]]) -> None:
        """A run has judged sessions, each with the digest of its fetches: holds those of `bad`, each list of them as
        one group, and frees the other groups that lie among the judged ones as a whole.
        """
        found = [{key: judged[key] for key in keys} for keys in bad]
        if not found and not self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._path}.lock"):
            groups = self._read()
            kept = [group for group in groups if not group.keys() <= judged.keys()]
            if [*kept, *found] != groups:
                atomic_write(self._path, msgspec.json.encode([*kept, *found]))

    def _read(self) -> list[dict[str, str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[dict[str, str]])
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise DataError(
                f"{self._path}: cannot be read: {error}. Remove it, and run "
                f"`fx backfill --force --tables {TABLE}`, which judges every week again."
            ) from None


def in_words(held: Sequence[str]) -> str:
    """What is held back (sorted), why, and what to do about it."""
    span = held[0] if len(held) == 1 else f"{held[0]} to {held[-1]}"
    return (
        f"{TABLE}: {span} ({len(held)} session{'s' if len(held) > 1 else ''}) held back: the week shows that a clock "
        "is off (check feed_clock; see `fx quality`). Nothing is built on them, nor on what looks back at them. Mend "
        "the source's clock and import or fetch these sessions again. If the clock is right, raise "
        "quality.max_clock_offset_minutes in data.yaml and call "
        f"`fx backfill --force --tables {TABLE} --from {held[0]} --to {held[-1]}`, then `fx backfill`."
    )
