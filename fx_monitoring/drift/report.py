"""One model's drift in one window: every feature's figures, which of them count, and the few that explain the rest.

How a value is computed is in psi.py, how much of it is chance in chance.py, what follows from it in decide.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fx_assets.errors import DataError
from fx_monitoring.drift.chance import FALSE_ALARMS, Chance, Noise, Placement, prepared
from fx_monitoring.drift.predictions import distinct_rows
from fx_monitoring.drift.psi import CRITICAL, MINOR, MODERATE, Level, kl_divergence, level, psi_table

MIN_ROWS = 500
PREDICTION = "prediction"
_RANK: dict[Level, int] = {"inconclusive": -1, "none": 0, "minor": 1, "moderate": 2, "critical": 3}


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift; the units are those of `psi_table`.

    band: that of psi, whatever caused it. noise: the least index that is more than chance, in a window like this one.
    shift: how far the feature has moved from what the other features let expect, in standard deviations; shift_noise:
    the least that is more than chance. missing_noise: the largest missing share that chance explains.
    level: the band where it counts, else none (see `_level`).
    """

    feature: str
    psi: float
    ks: float
    wasserstein: float
    missing_share_ref: float
    missing_share_cur: float
    outside: float
    implausible: float
    band: Level
    noise: float
    shift: float
    shift_noise: float
    missing_noise: float
    level: Level

    @property
    def value(self) -> float:
        """The index as far as it counts: 0 where it is no more than chance; a shift's square where that is larger.

        The index of two normal distributions d standard deviations apart is d squared, so the two are of one scale.
        A shift alone is never critical: one feature that leaves the others is looked at before a model learns it.
        """
        if self.level in ("none", "inconclusive"):
            return self.psi if self.band == "none" and self.level == "none" else 0.0
        moved = _moved(self.psi, self.shift, self.shift_noise)
        return max(self.psi, min(self.shift**2, CRITICAL) if moved else 0.0)


@dataclass(frozen=True)
class PredictionDrift:
    """The answers against those on the reference. kl: psi.kl_divergence; level: as of a feature."""

    psi: float
    ks: float
    wasserstein: float
    kl: float
    noise: float
    level: Level


@dataclass(frozen=True)
class InstrumentDrift:
    """One instrument's rows against its own in the reference."""

    rows: int
    level: Level
    max_psi: float | None


@dataclass(frozen=True)
class DriftReport:
    """Figures of one comparison.

    rows: distinct current feature rows; reference_rows: reference rows; min_rows: fewest of either for a
    verdict.
    level: the worst feature's, or inconclusive; max_psi: the largest index of a judged feature, None when inconclusive.
    value: the largest that counts (FeatureDrift.value). features: by falling psi. When the report is inconclusive
    their values are shown but their level says so too.
    """

    rows: int
    reference_rows: int
    min_rows: int
    level: Level
    max_psi: float | None
    features: tuple[FeatureDrift, ...]
    value: float = 0.0
    prediction: PredictionDrift | None = None

    @property
    def conclusive(self) -> bool:
        return self.level != "inconclusive"

    def table(self) -> pd.DataFrame:
        """One row per feature, by falling psi."""
        return pd.DataFrame([asdict(feature) for feature in self.features])


def drift_figures(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    min_rows: int = MIN_ROWS,
    unjudged: Collection[str] = (),
    rate: float = FALSE_ALARMS,
) -> DriftReport:
    """Compare the features a model was asked with (`current`) with those it was trained on (`reference`).

    reference: a column per feature, rows in time order, and `prediction` where its answers are known. current: the
    same, or a prediction log frame (columns f_<feature>), rows in time order. Rows of `current` that repeat the same
    inputs count once, so a busy client does not look like drift.
    `unjudged` features are measured and listed but do not count for the level: clock features, whose
    distribution within one session is known beforehand and says nothing about the market.
    rate: how often chance alone may lift any feature above its noise.
    With fewer than `min_rows` rows on either side the level is inconclusive; no rows at all is not an error.
    Raises DataError if `features` is empty or a frame lacks one of them.
    """
    if not features:
        raise DataError("drift: no features to compare. Take them from the deployed model's manifest.")
    window = distinct_rows(current, features)
    conclusive = min(len(window), len(reference)) >= min_rows
    found: list[FeatureDrift] = []
    answers: PredictionDrift | None = None
    if len(window) and len(reference):
        chance = prepared(reference, features, unjudged, rate)
        placement, shift = chance.window(window)
        found = _features(reference, window, features, conclusive, chance.noise(placement), shift)
        answers = _prediction(reference, window, placement, rate) if conclusive else None
    judged = [feature for feature in found if feature.feature not in unjudged]
    worst = max(judged, key=lambda feature: (_RANK[feature.level], feature.value), default=None)
    return DriftReport(
        rows=len(window),
        reference_rows=len(reference),
        min_rows=min_rows,
        level=worst.level if conclusive and worst else "inconclusive",
        max_psi=judged[0].psi if conclusive and judged else None,
        features=tuple(found),
        value=max((feature.value for feature in judged), default=0.0) if conclusive else 0.0,
        prediction=answers,
    )


def by_instrument(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    min_rows: int,
    unjudged: Collection[str] = (),
    rate: float = FALSE_ALARMS,
) -> dict[str, InstrumentDrift]:
    """Each instrument of `current` against its own rows of the reference; both have a column instrument.

    They share the rate: an instrument that seems to drift alone blocks, and each is another chance of that.
    """
    if "instrument" not in reference.columns or "instrument" not in current.columns or current.empty:
        return {}
    window = distinct_rows(current, features)
    made = {}
    for symbol, part in window.groupby("instrument", sort=True):
        own = reference[reference["instrument"] == symbol]
        if min(len(part), len(own)) < min_rows:
            made[str(symbol)] = InstrumentDrift(len(part), "inconclusive", None)
            continue
        chance = Chance(own, features, unjudged, rate / window["instrument"].nunique())
        placement, shift = chance.window(part)
        found = _features(own, part, features, True, chance.noise(placement), shift)
        judged = [f for f in found if f.feature not in unjudged]
        worst = max(judged, key=lambda feature: _RANK[feature.level], default=None)
        level_of = worst.level if worst else "none"
        made[str(symbol)] = InstrumentDrift(len(part), level_of, judged[0].psi if judged else None)
    return made


def explaining(
    report: DriftReport, reference: pd.DataFrame, unjudged: Collection[str] = (), most: int = 5
) -> list[dict[str, Any]]:
    """The few features that explain the drift, the strongest first: one of each group that moves together.

    A feature joins the group of a stronger one when their rank correlation in the reference is 0.7 or more. share: of
    the sum of all values that count, its group's. Features below moderate are not named.
    """
    counted = [f for f in report.features if f.level in ("moderate", "critical") and f.feature not in unjudged]
    counted.sort(key=lambda f: -f.value)
    if not counted:
        return []
    ranks = reference[[f.feature for f in counted]].rank().corr().abs().fillna(0.0).to_numpy()
    leaders: list[int] = []
    groups: dict[int, list[int]] = {}
    for at in range(len(counted)):
        leader = next((one for one in leaders if ranks[at, one] >= 0.7), None)
        if leader is None:
            leaders.append(at)
            groups[at] = [at]
        else:
            groups[leader].append(at)
    total = sum(f.value for f in counted)
    return [
        {
            "feature": counted[leader].feature,
            "psi": counted[leader].psi,
            "share": sum(counted[at].value for at in groups[leader]) / total if total else 0.0,
            "group": [counted[at].feature for at in groups[leader][1:]],
        }
        for leader in leaders[:most]
    ]


def _features(
    reference: pd.DataFrame,
    window: pd.DataFrame,
    features: Sequence[str],
    conclusive: bool,
    noise: Noise,
    shift: NDArray[np.float64],
) -> list[FeatureDrift]:
    table = psi_table(reference, window, features)
    made = []
    for at, row in enumerate(table.to_dict("records")):
        judged = _level(row["psi"], float(noise.psi[at]), float(shift[at]), float(noise.shift[at]))
        made.append(
            FeatureDrift(
                **{str(key): value for key, value in row.items() if key != "level"},
                band=row["level"],
                noise=float(noise.psi[at]),
                shift=float(shift[at]),
                shift_noise=float(noise.shift[at]),
                missing_noise=float(noise.missing[at]),
                level=judged if conclusive else "inconclusive",
            )
        )
    # Stable, so that equal values keep the model's feature order and the file is the same every time.
    return sorted(made, key=lambda feature: -feature.psi)


def _level(value: float, noise: float, shift: float, shift_noise: float) -> Level:
    """The band of an index that is more than chance, by itself or by the feature's shift; none otherwise."""
    moved = _moved(value, shift, shift_noise)
    if value <= noise and not moved:
        return "none"
    band = level(value)
    return "moderate" if moved and _RANK[band] < _RANK["moderate"] else band


def _moved(value: float, shift: float, shift_noise: float) -> bool:
    """Whether a shift counts. A feature that stayed where it was has not moved, though its fellows have left it."""
    return value >= MINOR and abs(shift) > shift_noise and shift**2 >= MODERATE


def _prediction(
    reference: pd.DataFrame, window: pd.DataFrame, placement: Placement, rate: float
) -> PredictionDrift | None:
    if PREDICTION not in reference.columns or PREDICTION not in window.columns:
        return None
    figure = psi_table(reference, window, [PREDICTION]).to_dict("records")[0]
    noise = prepared(reference, [PREDICTION], (), rate).noise(placement)
    counts = figure["psi"] > noise.psi[0]
    return PredictionDrift(
        psi=figure["psi"],
        ks=figure["ks"],
        wasserstein=figure["wasserstein"],
        kl=kl_divergence(
            reference[PREDICTION].to_numpy(np.float64, na_value=np.nan),
            window[PREDICTION].to_numpy(np.float64, na_value=np.nan),
        ),
        noise=float(noise.psi[0]),
        level=figure["level"] if counts else "none",
    )
