"""The runbooks: one for each alert and none for another, whole, and every command in them runs.

Commands stand in fenced blocks, one on a line. They are run as written against a small home with a running service and
exporter; only the ports differ. `# may exit 1: why` behind a command allows that code too.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest
import typer
import yaml
from typer.testing import CliRunner

from fx_monitoring.alerts import dagster_watch, watch
from tests.servers.serving import make_bundle, publish_features, start_service

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "runbooks"
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
RULES = ROOT / "deploy" / "prometheus" / "alerts.rules.yml"
PARTS = ("**What it means.**", "**How bad.**", "**Check.**", "**Mend.**", "**Resolves**")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
MAY_FAIL = re.compile(r" +# may exit (\d+)\b.*$")
LONGEST = 124


def rules() -> set[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def own() -> set[str]:
    """What the desk's sources and sensors fire."""
    checks = {name for name, _, _ in dagster_watch._KNOWN.values()} | {"CheckFailed"}
    sources = {name for source in watch.SOURCES for name in source.names}
    return checks | sources | {dagster_watch.RUN, dagster_watch.RESTORED}


def commands() -> list[str]:
    lines = [line for text in RUNBOOKS.values() for block in BLOCK.findall(text) for line in block.splitlines()]
    return sorted({line for line in lines if line.strip()})


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    assert rules() | own() | {"HeartbeatMissing"} == set(RUNBOOKS)


def test_every_rule_leads_to_its_runbook():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"].endswith(f"/{rule['alert']}.md")


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_whole(name):
    text = RUNBOOKS[name]
    assert text.startswith(f"# {name}\n")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    assert BLOCK.search(text)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (FOLDER / target).is_file(), target
    assert max(map(len, text.splitlines())) <= LONGEST


def test_other_runbooks_are_named_as_they_are_called():
    for text in RUNBOOKS.values():
        for name in re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`", text):
            assert name in RUNBOOKS, name


# ---- their commands -----------------------------------------------------------------------------------------------


class Duty:
    """A person at a terminal of the home: runs a command line, gives its exit code and output."""

    def __init__(self, environment: dict[str, str], ports: dict[str, str]) -> None:
        self.environment, self.ports = environment, ports
        from fx_assets.cli import register
        from fx_monitoring.cli import register as register_monitoring
        from fx_serving import cli

        self.platform = typer.Typer()
        register(self.platform)
        register_monitoring(self.platform)
        self.serving = cli.app
        self.of_serving = set(cast(click.Group, typer.main.get_command(cli.app)).commands)

    def run(self, line: str) -> tuple[int, str]:
        for written, real in self.ports.items():
            line = line.replace(f"127.0.0.1:{written}/", f"127.0.0.1:{real}/")
        if line.startswith("fx "):
            # In this process: a new one for each would take seconds to import the same things again.
            words = shlex.split(line)[1:]
            app = self.serving if words[0] in self.of_serving else self.platform
            result = CliRunner().invoke(app, words, env=self.environment)
            if result.exception is not None and not isinstance(result.exception, SystemExit | click.ClickException):
                raise result.exception
            return result.exit_code, result.output
        variables = {**os.environ, **self.environment}
        command = ["bash", "-c", line]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def duty(tmp_path_factory) -> Iterator[Duty]:
    """A home with a deployed model behind a running service, an exporter, and the configuration of a small sample."""
    from fx_monitoring.exporter.app import exporter
    from tests.fx_assets.small import write_config

    home = tmp_path_factory.mktemp("duty")
    before = dict(os.environ)  # commands set the variables of their home for everything they call
    with pytest.MonkeyPatch.context() as patch, start_service(home) as service:
        make_bundle(service.stores, "1", instruments=["GBP_USD", "USD_JPY"])
        publish_features(service.stores, instruments=["GBP_USD", "USD_JPY"])
        service.deploy("1")
        write_config(home / "config")
        for log in ("serving", "dagster", "alerts"):
            (home / "logs").mkdir(exist_ok=True)
            (home / "logs" / f"{log}.log").write_text("2026-11-16 12:00:00 INFO nothing new\n")
        (home / "feast").mkdir()
        environment = {"FX_HOME": str(home), "FX_SERVING_URL": service.url, "COLUMNS": "160", "NO_COLOR": "1"}
        environment |= {"FX_CLOCK": "2022-03-04T22:00:00Z"}
        for name, value in environment.items():
            patch.setenv(name, value)
        with exporter(home, port=0) as running:
            ports = {written: url.rpartition(":")[2] for written, url in (("8700", service.url), ("8710", running.url))}
            made = Duty(environment, ports)
            code, said = made.run("fx backfill --from 2021-03-01 --to 2021-03-01 --tables silver/candles")
            assert code == 0, said
            yield made
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.slow(30)
@pytest.mark.parametrize("line", commands())
def test_every_command_runs(duty, line):
    allowed = {0}
    if found := MAY_FAIL.search(line):
        allowed.add(int(found[1]))
        line = line[: found.start()]
    code, said = duty.run(line)
    assert code in allowed, said
