"""The tiers of machine and programs: what there is of CPU, memory and disk, and who answers.

A program that is not in use has no tier: no Redis address, no Redis. Addresses may hold passwords and are not repeated.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from fx_assets.errors import FxError
from fx_assets.resources import tracking
from fx_monitoring.configuration.health import Health as Policy
from fx_monitoring.health.quant import ask_service, judge_service
from fx_monitoring.health.tiers import Tier, falling, rising, unknown
from fx_serving.client.home import Stores
from fx_serving.client.state_address import StateAddressError, ask

REDIS, POSTGRES, MLFLOW = "FX_REDIS_URL", "FX_STATE_URL", tracking.VARIABLE
NVIDIA = "nvidia-smi"
_GPU = ["--query-gpu=index,utilization.gpu,memory.used,memory.total,temperature.gpu", "--format=csv,noheader,nounits"]
_GPU_S, _ASKED_S = 10.0, 5.0


def machine_tiers(stores: Stores, instance: Any, policy: Policy) -> list[Tier]:
    """Every tier. instance: the Dagster instance of the run."""
    tiers = [
        judge_load(policy),
        judge_memory(policy),
        judge_disk(stores.home, policy),
        judge_gpu(),
        judge_redis(),
        judge_postgres(),
        judge_mlflow(stores),
        judge_service(ask_service(stores)),
        judge_daemon(instance),
        judge_queue(instance, policy),
    ]
    return [tier for tier in tiers if tier is not None]


def judge_load(policy: Policy) -> Tier:
    """The five-minute load average per core: what waits for a CPU, whatever this run takes itself."""
    load, cores = os.getloadavg()[1], os.cpu_count() or 1
    words = f"load {load:.2f} on {cores} cores ({{:.0f}} %)"
    return rising("cpu", 100.0 * load / cores, policy.load_pct, words, "See what runs (top), and let backfills wait.")


def judge_memory(policy: Policy) -> Tier:
    """Memory that is not available, as the kernel estimates it."""
    import psutil

    found = psutil.virtual_memory()
    words = f"{{:.0f}} % of {found.total / 2**30:.1f} GiB is taken"
    return rising("memory", found.percent, policy.memory_pct, words, "End other programs, or train on fewer sessions.")


def judge_disk(home: Path, policy: Policy) -> Tier:
    """Room on the disk of the home."""
    place = next(path for path in (home, *home.parents) if path.exists())
    usage = shutil.disk_usage(place)
    words = f"{{:.1f}} % of {usage.total / 2**30:.0f} GiB is free"
    return falling(
        "disk", 100.0 * usage.free / usage.total, policy.disk_free_pct, words, "Free some: the job clean_up."
    )


def judge_gpu(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Tier | None:
    """What NVIDIA's tool says of its cards; no tier where there is no such tool."""
    program = shutil.which(NVIDIA)
    if program is None:
        return None
    try:
        done = run([program, *_GPU], capture_output=True, text=True, timeout=_GPU_S, check=True)
        cards = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        words = [f"card {c[0]}: {c[1]} % busy, {c[2]} of {c[3]} MiB, {c[4]} degrees" for c in cards]
        busiest = max((float(c[1]) for c in cards), default=None)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return unknown("gpu", f"{NVIDIA} fails: {type(error).__name__}", "Run nvidia-smi, and mend the driver.")
    return Tier("gpu", "GREEN", busiest, None, "; ".join(words) or "no card")


def judge_redis() -> Tier | None:
    """Whether the Redis of FX_REDIS_URL answers."""
    if not os.environ.get(REDIS, "").strip():
        return None
    from fx_assets.feature_store.redis_online import RedisOnline

    try:
        RedisOnline().ping()
    except FxError as error:
        return Tier("redis", "RED", None, None, str(error), f"Start it, or mend {REDIS}.")
    return Tier("redis", "GREEN", "answers", None, "Redis answers")


def judge_postgres() -> Tier | None:
    """Whether the PostgreSQL of FX_STATE_URL answers."""
    address = os.environ.get(POSTGRES, "").strip()
    if not address:
        return None
    try:
        ask(address, "SELECT 1", variable=POSTGRES, statement_s=_ASKED_S)
    except StateAddressError as error:
        return Tier("postgres", "RED", None, None, str(error), f"Start it, or mend {POSTGRES}.")
    return Tier("postgres", "GREEN", "answers", None, "PostgreSQL answers")


def judge_mlflow(stores: Stores) -> Tier | None:
    """Whether the database of runs and registered models can be read; no tier before the first training."""
    if address := os.environ.get(MLFLOW, "").strip():
        try:
            how = {"variable": MLFLOW, "statement_s": _ASKED_S}
            made = ask(address, "SELECT to_regclass('public.model_versions') IS NOT NULL", **how)
            count = ask(address, "SELECT count(*) FROM public.model_versions", **how) if made else None
        except StateAddressError as error:
            return Tier("mlflow", "RED", None, None, str(error), f"Start it, or mend {MLFLOW}.")
        return count if count is None else _readable(count)
    path = tracking.database_file(stores.home)
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            count = connection.execute("SELECT count(*) FROM model_versions").fetchone()[0]
    except sqlite3.Error as error:
        return Tier("mlflow", "RED", None, None, f"{path.name}: {error}", "Restore mlflow.db from a verified copy.")
    return _readable(count)


def _readable(count: int) -> Tier:
    return Tier("mlflow", "GREEN", float(count), None, f"the registry can be read: {count} versions")


def judge_daemon(instance: Any) -> Tier:
    """Whether every daemon that this instance needs has a heartbeat."""
    remedy = "Start it: fx up; its log is logs/dagster.log."
    statuses = instance.get_daemon_statuses()
    silent = sorted(name for name, status in statuses.items() if status.required and not status.healthy)
    if silent:
        return Tier("daemon", "RED", None, None, f"no heartbeat of {', '.join(silent)}", remedy)
    needed = sum(1 for status in statuses.values() if status.required)
    return Tier("daemon", "GREEN", float(needed), None, f"{needed} Dagster daemons have a heartbeat")


def judge_queue(instance: Any, policy: Policy) -> Tier:
    """Runs that wait."""
    import dagster as dg

    count = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    remedy = "See what runs (Dagster UI, Runs); a backfill may be ended there."
    return rising("queue", float(count), policy.queued_runs, "{:.0f} runs wait", remedy)
