"""How often repeated tests repeat: the short form by default, the full one under FX_SOAK=1 (`make soak`).

The counts in force are printed at the end of a test run.
"""

import os

SOAK = os.environ.get("FX_SOAK") == "1"

# name: (short, full)
COUNTS = {
    "lake_kills": (20, 200),
    "s3_kills": (5, 200),
    "redis_kills": (4, 40),
    "registry_kills": (16, 200),
    "property_examples": (40, 2000),
    "rollout_simulations": (40, 1000),
    "crash_points": (25, 1000),
    "load_requests": (3000, 100_000),
    "load_swaps": (4, 100),
    "split_key_sets": (5, 200),
    "schemathesis_examples": (20, 500),
    "ingest_kills": (5, 200),
    "state_kills": (10, 200),
    "repair_kills": (14, 30),
    "backup_kills": (10, 200),
    "courier_kills": (3, 20),
    "desk_kills": (4, 60),
    "monitoring_kills": (1, 10),
    "drift_windows": (24, 1000),
    "instrument_windows": (6, 400),
    "trading_kills": (12, 200),
    "quality_windows": (60, 400),
    "compose_sessions": (40, 250),
}


def count(name: str) -> int:
    """The number of repetitions in force."""
    return COUNTS[name][SOAK]


def describe() -> str:
    """One line for the end of a test run."""
    form = "full" if SOAK else "short"
    return f"repetitions ({form} form): " + ", ".join(f"{name} {count(name)}" for name in COUNTS)
