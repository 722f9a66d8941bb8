"""Real Prometheus and Alertmanager for tests, on free loopback ports, with shipped rules and routes at a test's pace.

with Prometheus(folder, program("prometheus", "prometheus"), targets) as prometheus:
    prometheus.query("up")
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers.redis import free_port
from tests.servers.serving import wait_until

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus"
EVERY = "500ms"
WINDOW = "5s"


@dataclass(frozen=True)
class Pace:
    """The shipped times, `faster` times as short, with a scrape every `scrape_s`: alerts wait and linger as they are
    meant to. None of their times is less than three scrapes, since none of the shipped ones is less than four.
    """

    faster: float
    scrape_s: float

    def rule(self, shipped: str) -> str:
        """`for`, keep_firing_for, or the window of a rate."""
        return f"{max(_seconds(shipped) / self.faster, 3 * self.scrape_s):.0f}s"

    def route(self, shipped: str) -> str:
        """group_wait or group_interval."""
        return f"{_seconds(shipped) / self.faster * 1000:.0f}ms"


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def hasty_rules(folder: Path, pace: Pace | None = None) -> list[str]:
    """The shipped rule files, at that pace; returns their names. None: rates over seconds, and alerts neither wait nor
    linger.
    """
    names = []
    window = WINDOW if pace is None else pace.rule("5m")
    for path in sorted(RULES.glob("*.rules.yml")):
        content = yaml.safe_load(path.read_text())
        for group in content["groups"]:
            for rule in group["rules"]:
                rule["expr"] = rule["expr"].replace("[5m]", f"[{window}]")
                if "alert" not in rule:
                    continue
                if pace is None:
                    rule["for"] = "0s"
                    del rule["keep_firing_for"]
                else:
                    rule |= {name: pace.rule(rule[name]) for name in ("for", "keep_firing_for")}
        (folder / path.name).write_text(yaml.safe_dump(content, sort_keys=False))
        names.append(path.name)
    return names


class _Server:
    """A program with a folder and a port of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.port = folder, name, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def _start(self, command: list[str]) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / f"{self.name}.log").read_text()
            return httpx.get(f"{self.url}/-/ready", timeout=2, trust_env=False).is_success

        wait_until(ready)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; nothing where it does not run."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(number)
            self.process.wait(120)
            self.process = None


class Prometheus(_Server):
    """Scrapes `targets` (job -> host:port) and judges the shipped rules, at a pace, or else twice a second; a target
    that takes longer than that to answer counts as down.
    """

    def __init__(
        self,
        folder: Path,
        program: str,
        targets: Mapping[str, str],
        alertmanager: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(folder, "prometheus")
        self.program = program
        every = EVERY if pace is None else f"{pace.scrape_s:g}s"
        config = yaml.safe_load((RULES / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
        config["rule_files"] = hasty_rules(folder, pace)
        config["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ]
        managers = [] if alertmanager is None else [{"static_configs": [{"targets": [alertmanager]}]}]
        config["alerting"]["alertmanagers"] = managers
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        self._start(
            [
                self.program,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ]
        )

    def __enter__(self) -> Prometheus:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an expression now; AssertionError with Prometheus' words for one that it refuses."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10, trust_env=False)
        content = answer.json()
        assert content["status"] == "success", f"{expression}: {content}"
        return content["data"]["result"]

    def firing(self) -> set[tuple[str, str]]:
        """(alert, severity) of the alerts that fire."""
        found = httpx.get(f"{self.url}/api/v1/alerts", timeout=10, trust_env=False).json()["data"]["alerts"]
        return {(a["labels"]["alertname"], a["labels"]["severity"]) for a in found if a["state"] == "firing"}


class Alertmanager(_Server):
    """The shipped routes and inhibitions, with every receiver replaced by one webhook. Without a pace, groups wait for
    a second; what lasts is told again as seldom as it is shipped.
    """

    def __init__(self, folder: Path, program: str, webhook: str, pace: Pace | None = None) -> None:
        super().__init__(folder, "alertmanager")
        self.program = program
        config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
        config["global"] = {"resolve_timeout": "5m"}
        route = config["route"]
        for name in ("group_wait", "group_interval"):
            route[name] = "1s" if pace is None else pace.route(route[name])
        hook = {"url": webhook, "send_resolved": True}
        config["receivers"] = [{"name": r["name"], "webhook_configs": [hook]} for r in config["receivers"]]
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))

    def silenced(self) -> set[tuple[str, str]]:
        """(alert, severity) of those that another one silences."""
        asked = {"active": "false", "silenced": "false", "unprocessed": "false", "inhibited": "true"}
        found = httpx.get(f"{self.url}/api/v2/alerts", params=asked, timeout=10, trust_env=False).json()
        return {(alert["labels"]["alertname"], alert["labels"]["severity"]) for alert in found}

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Alertmanager:
        self._start(
            [
                self.program,
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'alertmanager'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ]
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Receiver:
    """Takes Alertmanager's webhooks. `told`: (status, receiver, labels, annotations) in the order they came."""

    def __init__(self) -> None:
        owner = self
        self.told: list[tuple[str, str, dict[str, str], dict[str, str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in content["alerts"]:
                    owner.told.append((alert["status"], content["receiver"], alert["labels"], alert["annotations"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heard(self, status: str) -> set[tuple[str, str]]:
        """(alert, severity) that were told of as firing, or as resolved."""
        return {(labels["alertname"], labels["severity"]) for s, _, labels, _ in list(self.told) if s == status}

    def news(self) -> list[tuple[str, str]]:
        """(status, alert) whenever one was told to be otherwise than it was told before. A group is told whole, so that
        a message also repeats what stays, and may repeat what is over.
        """
        found: list[tuple[str, str]] = []
        last: dict[tuple, str] = {}
        for status, _, labels, _ in list(self.told):
            key = tuple(sorted(labels.items()))
            if status != last.get(key, "resolved"):
                found.append((status, labels["alertname"]))
            last[key] = status
        return found


class Figures:
    """An endpoint of a few metrics, for states that cannot be made on the machine of a test: `text` is the answer."""

    def __init__(self) -> None:
        owner = self
        self.text = ""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = owner.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Figures:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def metric_names(expression: str) -> set[str]:
    """The metrics and recorded figures that an expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b", bare)
    return {word for word in words if word not in _WORDS and not re.search(rf"\b{word}\s*\(", bare)}


_WORDS = {"and", "or", "unless", "bool", "sum", "max", "min", "by", "on", "e", "offset"}
