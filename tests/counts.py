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
}


def count(name: str) -> int:
    """The number of repetitions in force."""
    return COUNTS[name][SOAK]


def describe() -> str:
    """One line for the end of a test run."""
    form = "full" if SOAK else "short"
    return f"repetitions ({form} form): " + ", ".join(f"{name} {count(name)}" for name in COUNTS)
