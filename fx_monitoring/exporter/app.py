"""One home's exporter: its collectors, running, and its server."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.stack.environment import ROOT, use_replay_clock
from fx_monitoring.exporter.background import Background, Collector
from fx_monitoring.exporter.collectors import build
from fx_monitoring.exporter.server import PORT, TOKEN_VARIABLE, Exposition, Server
from fx_serving.client.clock import now
from fx_serving.client.home import Stores

RUNBOOKS = ROOT / "docs" / "runbooks"
# How long a collector may keep Python to itself while a scrape waits for it; ten times shorter than usual.
_SWITCH_S = 0.0005
log = logging.getLogger("fx_monitoring.exporter")


class Exporter:
    """Collects and answers until `stop`. Use as a context manager; `url` is where it answers.

    every_s: the pause of every collector, instead of its own.
    """

    def __init__(
        self,
        collectors: list[Collector],
        host: str = "127.0.0.1",
        port: int = PORT,
        every_s: float | None = None,
        token: str | None = None,
    ) -> None:
        self.backgrounds = [Background(collector, every_s) for collector in collectors]
        self.server = Server(host, port, Exposition(self.backgrounds), RUNBOOKS, token)
        self.url = self.server.url
        self._serving = threading.Thread(target=self.server.serve_forever, args=(0.2,), name="http", daemon=True)

    def __enter__(self) -> Exporter:
        for background in self.backgrounds:
            background.start()
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        for background in self.backgrounds:
            background.stop()
        self.server.shutdown()
        self.server.server_close()


def exporter(
    home: Path, host: str = "127.0.0.1", port: int = PORT, every_s: float | None = None,
    configuration: Configuration | None = None,
) -> Exporter:  # fmt: skip
    """The exporter of a home. Raises FxError: configuration, clock, address or port."""
    configuration = configuration or load_configuration()
    use_replay_clock(configuration)
    now()  # a clock that cannot be read is told at the start
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    return Exporter(build(Stores(home), configuration), host, port, every_s, token)


def serve(home: Path, host: str, port: int, every_s: float | None = None) -> None:
    """Run until SIGINT or SIGTERM."""
    sys.setswitchinterval(_SWITCH_S)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with exporter(home, host, port, every_s) as running:
        log.info("metrics of %s at %s/metrics", home, running.url)
        ended.wait()
