"""Several runs at once, each as soon as the ones it needs are done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from msgspec.structs import replace

from fx_assets.runs.plan import PlannedRun, RunEvent, Runner
from fx_assets.runs.start import RunFailed

Tell = Callable[[RunEvent], None]


def execute(
    plans: Sequence[PlannedRun], needs: Sequence[Collection[int]], runners: Sequence[Runner], on_event: Tell
) -> dict[int, RunFailed]:
    """Execute runs, the first that can begin before the others; returns the failed ones by number.

    needs: by run, the earlier runs that it waits for. on_event is called by one thread at a time. Once a run has failed
    no other is begun; those under way are let to their end. Ctrl-C, or an exception of on_event, interrupts all.
    """
    if len(runners) == 1:
        return _one_after_another(plans, runners[0], on_event)
    free, waiting, done = list(runners), list(range(len(plans))), set[int]()
    under_way: dict[Future[None], tuple[int, Runner]] = {}
    failed: dict[int, RunFailed] = {}
    lock, over = threading.Lock(), threading.Event()

    def work(number: int, runner: Runner) -> None:
        def tell(event: RunEvent) -> None:
            if over.is_set():  # its process was being started when the others were interrupted
                raise KeyboardInterrupt
            with lock:
                on_event(replace(event, run=number))

        runner.execute([plans[number]], tell)

    with ThreadPoolExecutor(len(runners), thread_name_prefix="runs") as pool:
        try:
            while under_way or (waiting and not failed):
                ready = [] if failed else [number for number in waiting if done.issuperset(needs[number])]
                for number in ready[: len(free)]:
                    waiting.remove(number)
                    runner = free.pop()
                    under_way[pool.submit(work, number, runner)] = (number, runner)
                ended, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in ended:
                    number, runner = under_way.pop(future)
                    free.append(runner)
                    try:
                        future.result()
                        done.add(number)
                    except RunFailed as error:
                        failed[number] = error
        except BaseException:
            over.set()
            for runner in runners:
                runner.interrupt()
            raise
    return failed


def _one_after_another(plans: Sequence[PlannedRun], runner: Runner, on_event: Tell) -> dict[int, RunFailed]:
    """In this thread: a signal interrupts the very run that is under way."""
    done = 0

    def tell(event: RunEvent) -> None:
        nonlocal done
        done += event.kind == "finished" and bool(event.ok)
        on_event(event)

    try:
        runner.execute(plans, tell)
    except RunFailed as error:
        return {done: error}
    return {}
