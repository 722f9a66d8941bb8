"""What the workers counted: totals per model, version and slot, in one small file of each worker.

Kept in memory on the request path and written now and then (see dataplane/metrics.py); read by the controller's gates,
GET /traffic and GET /metrics. Only the format, sums and quantiles belong here.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from pathlib import Path

import msgspec

log = logging.getLogger("fx_serving.evidence")

# blue: what the stable version answered. control: that part of it which the candidate could have been given during a
# rollout. green: what was routed to the candidate. shadow: what it scored unseen, after blue had answered.
SLOTS = ("blue", "control", "green", "shadow")
BOUNDS: tuple[float, ...] = tuple(50e-6 * 2 ** (k / 4) for k in range(73))
TIME_BINS = len(BOUNDS) + 1
SCORE_BINS = 50

Key = tuple[str, str, str]


def time_bin(seconds: float) -> int:
    """The bin of a time: bin i holds what is at most BOUNDS[i], the last one everything longer."""
    return bisect_left(BOUNDS, seconds)


def score_bin(score: float) -> int:
    """The bin of a probability."""
    return min(max(int(score * SCORE_BINS), 0), SCORE_BINS - 1)


def _time_bins() -> list[int]:
    return [0] * TIME_BINS


def _score_bins() -> list[int]:
    return [0] * SCORE_BINS


class SlotEvidence(msgspec.Struct):
    """Totals of one slot.

    `outcomes`: ok, rescored (the candidate failed, blue answered), error. `answer`: the time of whole answers;
    `service`: the same less the way to the candidate's process and back, of those that were ok. `scores`: P(positive)
    of those that were ok. `reasons`: why the others were not. `seconds`: all of the time in `answer`.
    """

    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    answer: list[int] = msgspec.field(default_factory=_time_bins)
    service: list[int] = msgspec.field(default_factory=_time_bins)
    scores: list[int] = msgspec.field(default_factory=_score_bins)
    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """Predictions given to this slot, whatever came of them."""
        return sum(self.outcomes.values())

    @property
    def errors(self) -> int:
        """Predictions this slot could not answer."""
        return self.requests - self.outcomes.get("ok", 0)

    def since(self, base: SlotEvidence) -> SlotEvidence:
        """The difference to earlier totals."""
        return self._with(base, -1)

    def plus(self, other: SlotEvidence) -> SlotEvidence:
        """The sum of both."""
        return self._with(other, 1)

    def _with(self, other: SlotEvidence, sign: int) -> SlotEvidence:
        return SlotEvidence(
            _dicts(self.outcomes, other.outcomes, sign),
            _lists(self.answer, other.answer, sign),
            _lists(self.service, other.service, sign),
            _lists(self.scores, other.scores, sign),
            _dicts(self.reasons, other.reasons, sign),
            self.seconds + sign * other.seconds,
        )

    def quantile_ms(self, q: float, which: str = "answer") -> float | None:
        """The q-quantile of the "answer" or "service" time in ms, interpolated inside its bin; None without any."""
        bins: list[int] = getattr(self, which)
        rank, below = q * sum(bins), 0
        for i, count in enumerate(bins):
            if count and below + count >= rank:
                lower = BOUNDS[i - 1] if i else 0.0
                upper = BOUNDS[i] if i < len(BOUNDS) else lower
                return (lower + (upper - lower) * (rank - below) / count) * 1000
            below += count
        return None

    def slower_than_ms(self, limit: float) -> float:
        """How many answers took longer than `limit` ms; inside the bin of the limit in proportion."""
        at = time_bin(limit / 1000)
        slower = float(sum(self.answer[at + 1 :]))
        if at < len(BOUNDS):
            lower = BOUNDS[at - 1] if at else 0.0
            slower += self.answer[at] * (BOUNDS[at] - limit / 1000) / (BOUNDS[at] - lower)
        else:
            slower += self.answer[at]
        return slower


class SlotTotals(msgspec.Struct):
    """One slot in a worker's file."""

    model: str
    version: str
    slot: str
    totals: SlotEvidence


class WorkerEvidence(msgspec.Struct):
    """evidence/<worker>.json. `refused`: "status reason" -> requests answered with an error."""

    slots: list[SlotTotals]
    refused: dict[str, int] = {}


_decoder = msgspec.json.Decoder(WorkerEvidence)


def read_worker(path: Path) -> WorkerEvidence | None:
    """One worker's file; None if there is none, or none that can be used, which is logged once."""
    try:
        found = _decoder.decode(path.read_bytes())
    except OSError:
        return None
    except ValueError as error:  # a DecodeError, or bytes that are no UTF-8
        return _left_out(path, str(error))
    sizes = (TIME_BINS, TIME_BINS, SCORE_BINS)
    for entry in found.slots:
        totals = entry.totals
        if (len(totals.answer), len(totals.service), len(totals.scores)) != sizes:
            return _left_out(path, "its bins are not this version's")
    return found


_told: set[tuple[Path, str]] = set()


def _left_out(path: Path, why: str) -> None:
    if (path, why) not in _told:
        _told.add((path, why))
        log.warning(
            "%s: %s. What it counted is left out; a live worker writes it anew, a dead one's may be deleted.", path, why
        )


def read_workers(folder: Path) -> list[WorkerEvidence]:
    """The files of all workers, dead ones included. A missing folder gives nothing."""
    found = [read_worker(path) for path in sorted(Path(folder).glob("*.json"))]
    return [worker for worker in found if worker is not None]


def read_evidence(folder: Path) -> dict[Key, SlotEvidence]:
    """(model, version, slot) -> totals over all workers, dead ones included, since the service started."""
    return total(read_workers(folder))


def total(workers: list[WorkerEvidence]) -> dict[Key, SlotEvidence]:
    """(model, version, slot) -> totals over these workers."""
    found: dict[Key, SlotEvidence] = {}
    for worker in workers:
        for entry in worker.slots:
            key = (entry.model, entry.version, entry.slot)
            known = found.get(key)
            found[key] = entry.totals if known is None else known.plus(entry.totals)
    return found


def _lists(left: list[int], right: list[int], sign: int) -> list[int]:
    return [a + sign * b for a, b in zip(left, right, strict=True)]


def _dicts(left: dict[str, int], right: dict[str, int], sign: int) -> dict[str, int]:
    return {name: left.get(name, 0) + sign * right.get(name, 0) for name in (*left, *(right.keys() - left.keys()))}
