"""Sessions that are held back because only their week shows that a clock is wrong: no file of a session can say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import Configuration
from fx_assets.errors import DataError
from fx_assets.lake import Lake
from fx_serving.client.files import atomic_write

TABLE = "silver/candles"
CHECK = f"{TABLE}: feed_clock"  # as a run reports that it did not pass
_WEEK = re.compile(r"week of (\d{4}-\d{2}-\d{2})")


class Held:
    """FX_HOME/runs/held.json: groups of sessions, each session with the digest of the fetches it was judged by."""

    def __init__(self, home: Path, bronze: Bronze, configuration: Configuration):
        self._path = home / "runs" / "held.json"
        self._bronze = bronze
        self._instruments = list(configuration.instruments.instruments)

    def sessions(self) -> set[str]:
        """Those held whose fetches are still the ones that failed."""
        groups = self._read()
        now = self._digests([key for group in groups for key in group])
        return {key for group in groups for key, digest in group.items() if digest == now[key]}

    def hold(self, keys: Sequence[str]) -> None:
        """Hold these sessions, as one group, until their fetches change or `release`."""
        if keys:
            self._write([*self._read(), self._digests(keys)])

    def release(self, first: str, last: str) -> None:
        """The check has passed from `first` to `last`: frees the groups that lie in there as a whole."""
        groups = self._read()
        if kept := [group for group in groups if not all(first <= key <= last for key in group)]:
            if len(kept) < len(groups):
                self._write(kept)
        elif groups:
            self._write([])

    def _digests(self, keys: Sequence[str]) -> dict[str, str]:
        return self._bronze.digests(CANDLES, sorted(set(keys)), self._instruments) if keys else {}

    def _read(self) -> list[dict[str, str]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[dict[str, str]])
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise DataError(
                f"{self._path}: cannot be read: {error}. Remove it, and call `fx backfill` again."
            ) from None

    def _write(self, groups: list[dict[str, str]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, msgspec.json.encode(groups))


def suspects(
    lake: Lake, configuration: Configuration, first: str, last: str, keys: Sequence[str], now: datetime
) -> list[str]:
    """Which of a failed run's sessions to hold: the weeks whose clocks are off by what the run has made.

    None when the stamps of the sessions say it already. All of them when neither shows what the run saw.
    """
    from fx_assets.quality.report import week_of
    from fx_assets.quality.stored import stored_quality

    stored = stored_quality(lake, configuration, first, last, None, now)
    weeks = {found[1] for words in stored.clocks if (found := _WEEK.search(words))}
    if not weeks and stored.problems:
        return []
    return [key for key in keys if not weeks or week_of(key) in weeks]
