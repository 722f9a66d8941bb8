"""Which of several controllers leads: a lease in the database. The others keep their own host's workers informed.

A leader that cannot renew its lease stops renewing its workers' one, too, once its own has run out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

from fx_serving.access import tokens
from fx_serving.controller.core import Core
from fx_serving.controller.publish import routes
from fx_serving.controller.records import decode
from fx_serving.state import CONTROLLER, LeaseState, StateError

log = logging.getLogger("fx_serving.controller")

LOOK_S = 0.5


class Leadership:
    """Takes and keeps the lease; tells the engine to lead or to stand down."""

    def __init__(self, engine: Core, on_lead: Callable[[], None] = lambda: None) -> None:
        self.engine, self.on_lead = engine, on_lead
        self.holder = new_holder()
        self.leader = ""
        self._sure_until = float("-inf")
        self._tokens_at = -1
        self._followed = -1

    async def run(self) -> None:
        """Renew for ever, apart from the engine's own loop, so that slow evidence does not look like death."""
        renew_s = self.engine.config.lease.renew_s
        due = float("-inf")
        while True:
            now = self.engine.clock.monotonic()
            if now >= due or not self.engine.leading:
                due = now + renew_s
                self._safely(self.renew)
            self._safely(self._pass_tokens_on)
            await asyncio.sleep(min(renew_s, LOOK_S))

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (StateError, OSError) as error:
            log.error("controller: %s", error)
        except Exception:
            log.exception("controller: unexpected; it is tried again")

    def renew(self) -> None:
        """One look at the lease, and what follows from it."""
        engine = self.engine
        ttl, asked_at = engine.config.lease.expire_s, engine.clock.monotonic()
        try:
            lease = engine.state.lease(CONTROLLER, self.holder, ttl)
            if not lease.held and holder_is_dead(lease.holder):
                # It ran on this machine and is gone: nobody needs to wait for its lease to run out.
                engine.state.release(CONTROLLER, lease.holder)
                lease = engine.state.lease(CONTROLLER, self.holder, ttl)
        except StateError:
            if engine.clock.monotonic() < self._sure_until:
                engine.renew()  # still ours by the database's clock
            elif engine.leading:
                log.error("the database has not answered for %g s: standing down", ttl)
                engine.stand_down()
            raise
        self.leader = lease.holder
        if not lease.held:
            if engine.leading:
                log.warning("%s leads now", lease.holder)
                engine.stand_down()
            self._follow(lease)
            return
        self._sure_until = asked_at + ttl
        if not engine.leading or engine.term != lease.term:
            log.info("leading, term %s", lease.term)
            engine.lead(lease.term)
            self.on_lead()
            self._followed = -1
        engine.renew()

    def stop(self) -> None:
        """Give the lease up, so that another controller need not wait for its end."""
        self.engine.stand_down()
        try:
            self.engine.state.release(CONTROLLER, self.holder)
        except StateError as error:
            log.warning("controller: %s", error)

    def _follow(self, lease: LeaseState) -> None:
        """The leader's table for the workers of this host; their lease is renewed while the leader's own holds."""
        engine = self.engine
        view = engine.state.view()
        if view.generation != self._followed:
            models = routes(view.deployed, (decode(row) for row in view.active), engine.clock.now())
            engine.publisher.follow(view.generation, models, view.term)
            self._followed = view.generation
        if lease.remaining_s > 0:
            engine.renew()

    def _pass_tokens_on(self) -> None:
        """Tokens made elsewhere reach this host's workers by a file."""
        generation = self.engine.state.generation()
        if generation != self._tokens_at:
            tokens.publish(self.engine.stores.tokens, self.engine.state.tokens())
            self._tokens_at = generation


def new_holder() -> str:
    """A name for this process that no other process ever has: machine, boot, process id and its start."""
    return "|".join((socket.gethostname(), _boot(), str(os.getpid()), _started(os.getpid()), uuid.uuid4().hex[:8]))


def holder_is_dead(holder: str) -> bool:
    """Whether the holder ran on this machine since its last start, and does not any more."""
    parts = holder.split("|")
    if len(parts) != 5 or parts[:2] != [socket.gethostname(), _boot()] or not parts[1]:
        return False
    pid, started = int(parts[2]), parts[3]
    return pid != os.getpid() and _started(pid) != started


def _boot() -> str:
    """Which start of the machine this is, and whose process ids are counted: those of a container are its own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" if it is gone, or has ended and only waits to be noticed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
