"""What the gates of a rollout are worth: a thousand simulated rollouts of each kind, and two hundred splits of traffic.

The real engine, state store and routing table in a made-up world (fx_serving/controller/simulation.py). Some five
minutes on two cores.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import get_args

from benchmarks.report import Figure
from fx_serving.controller.gates import REFERENCE_KEYS, Sample, Totals, choose_salt, judge
from fx_serving.controller.gates.split import deviation
from fx_serving.controller.simulation import Ending, Kind, World, drawn, roll_out
from fx_serving.controller.steps import StepPlan
from fx_serving.evidence import SlotEvidence, score_bin, time_bin
from fx_serving.policy import RolloutPolicy
from fx_serving.routing import goes_green
from tests.counts import COUNTS

SECTION = "rollouts"
RUNS, KEY_SETS = COUNTS["rollout_simulations"][1], COUNTS["split_key_sets"][1]
WEIGHTS = (5, 25, 50)
REACTIONS = 200


def simulated(kind: Kind, seed: int) -> Ending:
    """One rollout of a kind."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(roll_out(drawn(kind, seed), seed, Path(folder)))


def all_fail(seed: int) -> float:
    """Seconds of the simulated clock until the way back, where each canary request fails from some moment on."""
    policy = {"steps": [50, 100], "window_s": 60, "min_requests": 500, "shadow": False}
    world = World(per_s=100, tick_s=0.05, policy=policy, breaks_after=1000 * (seed % 2))
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(roll_out(world, seed, Path(folder))).seconds


def shows(pool: ProcessPoolExecutor) -> list[Figure]:
    """What becomes of the simulated rollouts."""
    how = f"{RUNS} rollouts each, real engine, worlds drawn by seeds 0 to {RUNS - 1}, half of them with unseen scores"
    found: dict[Kind, list[Ending]] = {}
    for kind in get_args(Kind):
        found[kind] = list(pool.map(simulated, [kind] * RUNS, range(RUNS), chunksize=10))

    def share(kind: Kind, *states: str, within: float = math.inf) -> float:
        hits = sum(ending.state in states and ending.served <= within for ending in found[kind])
        return 100 * hits / RUNS

    figures = [
        Figure(SECTION, "identical models rolled back", share("same", "rolled_back"), "%", how),
        Figure(SECTION, "identical models rolled out", share("same", "succeeded"), "%", how),
        Figure(SECTION, "+5 points of errors caught", share("failing", "rolled_back", within=500), "%", how),
        Figure(SECTION, "doubled latency caught", share("slow", "rolled_back", within=500), "%", how),
    ]
    for name, ended in (("+5 points of errors", found["failing"]), ("doubled latency", found["slow"])):
        served = sorted(ending.served for seed, ending in enumerate(ended) if seed % 2 == 0)
        told = f"{how}; of those without unseen scores"
        figures.append(Figure(SECTION, f"{name}: canary requests, median", statistics.median(served), "", told))
        figures.append(
            Figure(SECTION, f"{name}: canary requests, 99 of 100", served[len(served) * 99 // 100], "", told)
        )
    went_on = sum(any(route.weight > 5 for route in ending.routes) for ending in found["thin"])
    figures.append(Figure(SECTION, "went on with too little traffic", 100 * went_on / RUNS, "%", how))
    return figures


def split_of(seed: int) -> tuple[float, int, int]:
    """(worst deviation in points, salts tried, keys that went back to blue) of one set of 10,000 keys."""
    keys = [f"{seed * 1_000_003 + i * 17:x}" for i in range(REFERENCE_KEYS)]
    found = choose_salt(f"rollout{seed}", keys, WEIGHTS)
    gone_back, before = 0, set()
    for weight in (*WEIGHTS, 100):
        now = {key for key in keys if goes_green(found.salt, key, weight)}
        gone_back, before = gone_back + len(before - now), now
    return deviation(found.salt, keys, WEIGHTS), found.tried, gone_back


def splits(pool: ProcessPoolExecutor) -> list[Figure]:
    """How even the split is, and whether anybody goes back."""
    found = list(pool.map(split_of, range(KEY_SETS), chunksize=10))
    how = f"{KEY_SETS} sets of {REFERENCE_KEYS:,} keys at {', '.join(map(str, WEIGHTS))} and 100 %"
    return [
        Figure(SECTION, "split: worst deviation", max(worst for worst, _, _ in found), "points", how),
        Figure(SECTION, "split: salts tried, mean", statistics.fmean(tried for _, tried, _ in found), "", how),
        Figure(SECTION, "split: keys gone back to blue", sum(back for _, _, back in found), "", how),
    ]


def judging() -> Figure:
    """What one judgement costs late in a rollout of four steps."""

    def slot(n: int) -> SlotEvidence:
        made = SlotEvidence({"ok": n})
        for i in range(n):
            made.answer[time_bin(0.001 * (1 + i % 7))] += 1
            made.service[time_bin(0.001 * (1 + i % 7))] += 1
            made.scores[score_bin(i % 50 / 50)] += 1
        return made

    step = Sample(green=slot(500), control=slot(5000), shadow=slot(5000), blue=slot(5000))
    totals, policy, plan = Totals(steps=(step,) * 4), RolloutPolicy(), StepPlan(weight=50, min_requests=500)
    times = 500
    started = time.process_time()
    for _ in range(times):
        judge(policy, plan, totals, 60)
    cost = (time.process_time() - started) / times * 1e6
    return Figure(
        SECTION, "one judgement", cost, "us", "CPU, six gates, four steps of evidence; four a second are made"
    )


def measure() -> list[Figure]:
    """All figures."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        reactions = list(pool.map(all_fail, range(REACTIONS), chunksize=10))
        figures = [*shows(pool), *splits(pool)]
    how = (
        f"simulated clock, 50 canary requests a second, {REACTIONS} rollouts, half of them after 1,000 good answers; "
        "from the first failure to the commit"
    )
    return [
        *figures,
        Figure(SECTION, "every canary request fails: way back, median", statistics.median(reactions), "s", how),
        Figure(SECTION, "every canary request fails: way back, worst", max(reactions), "s", how),
        judging(),
    ]
