"""Pools: what bears only so many users at a time, across all runs of a home, whichever process executes them.

Dagster counts the slots of a pool in its database and claims one for each step that names the pool. Runs that the
daemon launches and runs of `fx backfill` (executed in its own child process) are counted alike. dagster.yaml can only
say what holds for pools without a limit of their own, so the limits are put into the database from here.
"""

import dagster as dg

API, DATABASE, HEAVY, TRADING = "api", "database", "heavy", "trading"
LIMITS = {
    # Fetches from brokers and news services: one long backfill must not keep live data waiting. How much one service
    # is asked is its rate limiter's business.
    API: 2,
    # The feature registry and the online store: files with one writer.
    DATABASE: 1,
    # Training sets and training: each takes the memory that one machine has to spare.
    HEAVY: 1,
    # Paper trading: a second run would only be refused by its ledger, bar by bar.
    TRADING: 1,
}


def set_limits(instance: dg.DagsterInstance) -> None:
    """Give each pool its limit, unless the user has given it another one (UI: Deployment, Concurrency)."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    limited = {pool.name for pool in storage.get_pool_limits() if not pool.from_default}
    for pool, limit in LIMITS.items():
        if pool not in limited:
            storage.set_concurrency_slots(pool, limit)
