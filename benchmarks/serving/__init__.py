"""Speed and steadiness of the prediction service. Everything runs on loopback, against the real `fx serve`.

client   a cheap HTTP client: keep-alive connections, one retry on a reset, as the platform's own client
bundle   the model that is served: 50 features, gradient-boosted trees
load     swaps, weight steps, reloads and kills under load: how many requests fail (none may)
goals    CPU, throughput, latency, log
swap     loading, verifying and switching versions; start and memory of a worker
overload three times more requests than a worker can answer: the accepted stay fast, the rest is told 429
access   what looking at tokens, hosts and rates adds to a request
compare  the same model behind mlflow, BentoML and MLServer

Each has its own command, python -m benchmarks.serving.load and so on; `python -m benchmarks.run --only serving`
measures goals and swap.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import Figure


def measure() -> Iterator[Figure]:
    """The goals that need no other software."""
    from benchmarks.serving import goals, swap

    yield from goals.measure()
    yield from swap.measure()
