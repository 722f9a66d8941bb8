"""What the drift decisions get right and wrong: false alarms and missed shifts on windows of real features.

Windows are drawn from the reference in blocks of consecutive rows, of several lengths, 2,000 rows each; and spans of as
many consecutive rows as six sessions of hourly bars of four pairs are judged by, from the whole sample.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.report import Figure

SECTION = "drift_windows"
WINDOWS = 1_000
BLOCKS = (1, 24, 50, 100)
SHIFT = 0.5
SPANS, SPAN_ROWS = 200, 576


def measure() -> Iterator[Figure]:
    """Shares over WINDOWS windows: of block lengths by turns, and the two for each length."""
    from fx_assets.features import feature_names
    from fx_monitoring.drift.report import drift_figures
    from tests.fx_monitoring.drift import real

    names, calendar = real.feature_columns(), feature_names("calendar")
    spread = real.reference()[names].std()
    movable = [name for name in names if spread[name] > 0 and name not in calendar]
    rng = np.random.default_rng(20)
    alarms: dict[int, list[bool]] = {block: [] for block in BLOCKS}
    seen: dict[int, list[bool]] = {block: [] for block in BLOCKS}
    found: dict[int, list[bool]] = {block: [] for block in BLOCKS}
    for number in range(WINDOWS):
        block = BLOCKS[number % len(BLOCKS)]
        window = real.block_window(real.reference(), block, rng)
        quiet = drift_figures(real.reference(), window, names, unjudged=calendar)
        # moderate alerts and critical, once confirmed, retrains: either is an action
        alarms[block].append(quiet.level in ("moderate", "critical"))
        name = movable[int(rng.integers(len(movable)))]
        moved = window.assign(**{name: window[name] + np.float32(SHIFT * spread[name])})
        report = drift_figures(real.reference(), moved, names, unjudged=calendar)
        level = next(feature.level for feature in report.features if feature.feature == name)
        seen[block].append(level in ("moderate", "critical"))
        found[block].append(report.level in ("moderate", "critical"))
    what = f"{len(movable)} features, 2,000 rows, blocks of {', '.join(map(str, BLOCKS))} rows by turns"
    for title, by_block in (
        ("undrifted windows that call for an action", alarms),
        (f"windows with {SHIFT} sigma of one feature: that feature moderate or worse", seen),
        (f"windows with {SHIFT} sigma of one feature: report moderate or worse", found),
    ):
        every = [one for shares in by_block.values() for one in shares]
        yield Figure(SECTION, title, 100 * float(np.mean(every)), "%", f"{len(every)} windows, {what}")
        for block, shares in by_block.items():
            name = f"{title}, blocks of {block}"
            yield Figure(SECTION, name, 100 * float(np.mean(shares)), "%", f"{len(shares)} windows")
    whole = real.sample_features().astype(dict.fromkeys(names, "float32"))
    loud = []
    for start in np.linspace(0, len(whole) - SPAN_ROWS, SPANS).astype(int):
        report = drift_figures(real.reference(), whole.iloc[start : start + SPAN_ROWS], names, unjudged=calendar)
        loud.append(report.level in ("moderate", "critical"))
    title = "undrifted spans of six hourly sessions that call for an action"
    yield Figure(SECTION, title, 100 * float(np.mean(loud)), "%", f"{SPANS} spans of {SPAN_ROWS} consecutive rows")
    yield from _answers()


def _answers() -> Iterator[Figure]:
    """How far answers on new rows diverge from those on the rows of training, for one reason alone: they were trained
    on. The shipped candidates of few rows (training.min_rows and a little more) and as many inputs as the models have.
    """
    import xgboost

    from fx_monitoring.drift.psi import kl_divergence

    rng = np.random.default_rng(1)
    rows = rng.normal(size=(15_000, 130)).astype(np.float32)
    odds = 0.25 * rows[:, 0] + 0.2 * rows[:, 1] * rows[:, 2] + 0.15 * np.abs(rows[:, 3])
    happened = (rng.uniform(size=len(rows)) < 1 / (1 + np.exp(-odds))).astype(float)
    known, new = slice(0, 5_000), slice(5_000, None)
    for depth, rounds, eta, weight, ridge in ((2, 160, 0.08, 50, 10), (4, 100, 0.05, 100, 20)):
        params = {"max_depth": depth, "eta": eta, "min_child_weight": weight, "lambda": ridge, "seed": 1}
        params |= {"objective": "binary:logistic", "subsample": 0.7, "colsample_bytree": 0.5}
        model = xgboost.train(params, xgboost.DMatrix(rows[known], happened[known]), rounds)
        trained, fresh = (model.predict(xgboost.DMatrix(rows[part])) for part in (known, new))
        title = f"divergence of answers that were not trained on, trees of depth {depth}"
        yield Figure(SECTION, title, kl_divergence(trained, fresh), "nats", "5,000 rows of training, 10,000 new ones")
