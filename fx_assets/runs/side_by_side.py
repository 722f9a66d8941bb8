"""Runs in several processes at once, each as soon as the ones it needs are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from msgspec.structs import replace

from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.start import RunFailed, RunProcess

Tell = Callable[[RunEvent], None]


def execute(
    plans: Sequence[PlannedRun], needs: Sequence[Collection[int]], processes: Sequence[RunProcess], on_event: Tell
) -> dict[int, RunFailed]:
    """Execute runs, the first that can begin before the others; returns the failed ones by number.

    needs: by run, the earlier runs that it waits for. on_event is called by one thread at a time. Once a run has failed
    no other is begun; those under way are let to their end. Ctrl-C, or an exception of on_event, interrupts all.
    """
    if len(processes) == 1:
        return _one_after_another(plans, processes[0], on_event)
    free, waiting, done = list(processes), list(range(len(plans))), set[int]()
    under_way: dict[Future[None], tuple[int, RunProcess]] = {}
    failed: dict[int, RunFailed] = {}
    lock, over = threading.Lock(), threading.Event()

    def work(number: int, process: RunProcess) -> None:
        def tell(event: RunEvent) -> None:
            if over.is_set():  # its process was being started when the others were interrupted
                raise KeyboardInterrupt
            with lock:
                on_event(replace(event, run=number))

        process.execute([plans[number]], tell)

    with ThreadPoolExecutor(len(processes), thread_name_prefix="runs") as pool:
        try:
            while under_way or (waiting and not failed):
                ready = [] if failed else [number for number in waiting if done.issuperset(needs[number])]
                for number in ready[: len(free)]:
                    waiting.remove(number)
                    process = free.pop()
                    under_way[pool.submit(work, number, process)] = (number, process)
                ended, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in ended:
                    number, process = under_way.pop(future)
                    free.append(process)
                    try:
                        future.result()
                        done.add(number)
                    except RunFailed as error:
                        failed[number] = error
        except BaseException:
            over.set()
            for process in processes:
                process.interrupt()
            raise
    return failed


def _one_after_another(plans: Sequence[PlannedRun], process: RunProcess, on_event: Tell) -> dict[int, RunFailed]:
    """In this thread: a signal interrupts the very run that is under way."""
    done = 0

    def tell(event: RunEvent) -> None:
        nonlocal done
        done += event.kind == "finished" and bool(event.ok)
        on_event(event)

    try:
        process.execute(plans, tell)
    except RunFailed as error:
        return {done: error}
    return {}
