"""The names of a rollout policy's settings, for who writes policies without running the service.

Values are checked by the service; tests hold this list against what it accepts.
"""

POLICY_KEYS = frozenset(
    {
        "alpha",
        "apply_timeout_s",
        "consecutive_failures",
        "experiment_max_s",
        "experiment_metric",
        "hold_timeout_s",
        "max_brier_rise",
        "max_distribution_shift",
        "max_error_rate",
        "max_latency_ratio",
        "max_p99_ms",
        "max_sharpe_drop",
        "min_outcomes",
        "min_requests",
        "shadow",
        "split",
        "steps",
        "suite_cases",
        "suite_min_share",
        "supersede",
        "window_s",
    }
)
