"""The gates of a canary step: good enough, too bad, or too little to say. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fx_serving.config import RolloutPolicy


@dataclass(frozen=True)
class Window:
    """What the candidate did in the current step, over all workers. p99 in ms; None without requests."""

    requests: int = 0
    errors: int = 0
    p99_ms: float | None = None

    @property
    def error_rate(self) -> float | None:
        """errors / requests; None without requests."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True)
class Verdict:
    """pass: go on. wait: the window is not over. hold: too few requests. breach: a gate fails. expired: held
    too long.
    """

    kind: Literal["pass", "wait", "hold", "breach", "expired"]
    why: str


def judge(policy: RolloutPolicy, window: Window, elapsed_s: float) -> Verdict:
    """The verdict on a step begun `elapsed_s` ago.

    Fewer than min_requests say nothing, with one exception: as many errors as `consecutive_failures` that
    already exceed what a full sample could be allowed cannot become a pass and need no further victims.
    """
    n, errors = window.requests, window.errors
    if n < policy.min_requests:
        if errors >= policy.consecutive_failures and errors > policy.max_error_rate * policy.min_requests:
            return Verdict("breach", f"{errors} errors in the first {n} requests")
        if elapsed_s >= policy.hold_timeout_s:
            return Verdict(
                "expired",
                f"want of evidence: {n} of {policy.min_requests} requests within {policy.hold_timeout_s:g} s",
            )
        if elapsed_s >= policy.window_s:
            return Verdict("hold", f"{n} of {policy.min_requests} requests so far")
        return Verdict("wait", "window not over")
    rate = errors / n
    if rate > policy.max_error_rate:
        return Verdict("breach", f"error rate {rate:.2%} over {n} requests, limit {policy.max_error_rate:.2%}")
    if window.p99_ms is not None and window.p99_ms > policy.max_p99_ms:
        return Verdict("breach", f"p99 {window.p99_ms:.1f} ms over {n} requests, limit {policy.max_p99_ms:g} ms")
    if elapsed_s >= policy.window_s:
        return Verdict("pass", f"{n} requests, error rate {rate:.2%}, p99 {window.p99_ms or 0:.1f} ms")
    return Verdict("wait", "window not over")
