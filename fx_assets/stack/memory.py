"""Peak memory of this process and all its descendants: proportional set size, sampled once a second."""

from __future__ import annotations

import threading

INTERVAL_S = 1.0


class MemorySampler:
    """Samples in a thread between `with` and its end; `peak` in bytes.

    The proportional set size counts a page shared by n processes as 1/n in each, so that the sum is what the
    machine really needs.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, _total())
            self._stop.wait(INTERVAL_S)


def _total() -> int:
    import psutil

    own = psutil.Process()
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.uss)
        except psutil.Error:
            continue  # it ended between the listing and the reading
    return total
