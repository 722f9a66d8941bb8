"""The practice account of a home: what `fx practice` left for the other processes to find it by."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from fx_assets.errors import FxError

FILE = "practice.json"


class Practice(msgspec.Struct, frozen=True):
    """A replayed account. clock is what FX_CLOCK must be for its prices to be now; pid is the server's process."""

    url: str
    stream_url: str
    account: str
    token: str
    pid: int
    clock: str | None = None

    def __repr__(self) -> str:
        """Without the token, which is made up, but looks like one that is not."""
        return f"Practice(url={self.url!r}, account={self.account!r}, clock={self.clock!r}, pid={self.pid})"

    def variables(self) -> dict[str, str]:
        """What the processes of the home need to reach the account and to read its time."""
        found = {"OANDA_TOKEN": self.token, "OANDA_ACCOUNT": self.account}
        return {**found, "FX_CLOCK": self.clock} if self.clock else found


def running_practice(home: Path) -> Practice | None:
    """The practice account of a home while its server runs; None when there is none, or it has ended.

    Raises FxError for a file that cannot be read.
    """
    path = home / FILE
    try:
        practice = msgspec.json.decode(path.read_bytes(), type=Practice)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FxError(f"{path}: {error}. Remove it, and start fx practice again.") from None
    return practice if _alive(practice.pid) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process: it is there
        return True
    return True
