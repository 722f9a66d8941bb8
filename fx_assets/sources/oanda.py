"""OANDA v20 candles over REST: hosts, token, and pages joined so that each candle comes exactly once.

The pricing stream is in oanda_stream.py, one page's decoding and checks in oanda_page.py.
"""

from __future__ import annotations

import math
import os
import threading
from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.sources.base import SourceRefused
from fx_assets.sources.http import HttpSession, session_limits
from fx_assets.sources.oanda_page import ALIGNMENT_HOUR, ALIGNMENT_ZONE, COLUMNS, STEP_S, Page, to_frame
from fx_assets.sources.options import Oanda
from fx_serving.client.clock import now

HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
STREAM_HOSTS = {"practice": "https://stream-fxpractice.oanda.com", "live": "https://stream-fxtrade.oanda.com"}
PAGE = 5000  # the most that one request may ask for


class OandaCandles:
    """Complete, unsmoothed candles with middle, bid and ask prices. Safe for several threads; keep it, so that its
    connection is kept too.
    """

    def __init__(self, name: str, options: Oanda):
        self.name, self.options = name, options
        self._lock = threading.Lock()
        self._session: HttpSession | None = None

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource; with volume (ticks) and bid and ask of open, high, low and close.

        D and H4 candles start at 17:00 New York and every four hours from there. Raises SourceRefused without a
        token or with a wrong one, and for instruments and granularities that OANDA does not have.
        """
        if granularity not in STEP_S:
            raise SourceRefused(f"{self.name}: no {granularity} candles. Use one of {' '.join(STEP_S)}.")
        first, last = start.timestamp(), min(end, now()).timestamp()
        parts: list[np.ndarray] = []
        cursor = first
        while cursor < last:
            page = self._page(instrument, granularity, cursor, _count(cursor, last, granularity))
            if page is None:
                break
            # The joining candle was in the page before; candles after the end come where the range has gaps.
            joined = page.times > cursor if parts else page.times >= first
            parts.append(page.values[joined & page.complete & (page.times < last)])
            if not len(page) or page.times[-1] <= cursor or page.times[-1] + STEP_S[granularity] >= last:
                break
            cursor = page.times[-1]
        return to_frame(np.concatenate(parts) if parts else np.empty((0, len(COLUMNS))))

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _page(self, instrument: str, granularity: str, first: float, count: int) -> Page | None:
        """Up to `count` candles from the one that covers `first`; None when OANDA's clock has not come there yet."""
        params = {
            "price": "MBA",
            "granularity": granularity,
            "from": f"{first:.6f}",
            "count": count,
            "smooth": "false",
        }
        if STEP_S[granularity] > 3600:
            params |= {"dailyAlignment": ALIGNMENT_HOUR, "alignmentTimezone": ALIGNMENT_ZONE}
        try:
            content = self._http().get_bytes(f"/v3/instruments/{instrument}/candles", params)
        except SourceRefused as refusal:
            if "Time is in the future" in str(refusal):
                return None
            raise
        return Page(content, f"{self.name}: {instrument} {granularity}", instrument, granularity, first, count)

    def _http(self) -> HttpSession:
        with self._lock:
            if self._session is None:
                url = self.options.url or HOSTS[self.options.environment]
                self._session = oanda_session(self.name, self.options, url)
            return self._session


def oanda_session(name: str, options: Oanda, url: str) -> HttpSession:
    """A session with the user's token, under OANDA's limits. Raises SourceRefused without a token."""
    headers = {
        "Authorization": f"Bearer {secret(name, options.token_env, 'a personal access token')}",
        "Accept-Datetime-Format": "UNIX",
    }
    limits = session_limits(url, options.requests_per_s, options.connections_per_s)
    account = os.environ.get(options.account_env, "").strip()
    return HttpSession(name, options, url, headers, limits, secrets=[account])


def secret(name: str, variable: str, what: str) -> str:
    """The value of an environment variable. Raises SourceRefused naming it when there is none."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SourceRefused(
            f"{name}: {variable} is not set. Set it to {what} of your OANDA account "
            "(Manage API Access in the account's settings), or start `fx practice` and work without an account."
        )
    return value


def _count(first: float, last: float, granularity: str) -> int:
    """Candles from `first` to `last`, one more for the candle that covers `first`."""
    return min(PAGE, math.ceil((last - first) / STEP_S[granularity]) + 1)
