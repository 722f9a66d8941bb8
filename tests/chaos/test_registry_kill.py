"""kill -9 at any point of a training's registration and of a promotion: there is exactly one champion, and it is whole.

A child counts its own calls into files and database, and kills itself with SIGKILL right before the one it was told:
every place where something is written is a place to die, chosen evenly over the whole of training and promotion.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fx_assets.models import champion, promotion, registry
from fx_assets.models.promotion_log import PromotionLog
from fx_serving.client.home import Stores
from tests.counts import count
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for
from tests.fx_assets.small import configuration_of, write_config

pytestmark = [pytest.mark.slow]

# Forks a trainer for every line it reads, so that imports are paid for once. A line: where to die (0: nowhere), a seed.
LAUNCHER = """
import os, signal, sys
from pathlib import Path
import catboost, lightgbm, mlflow, mlflow.pyfunc, mlflow.store.tracking.sqlalchemy_store, xgboost
from fx_assets.configuration import load_configuration
from fx_assets.models import promotion
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, register, rows_for, spec_for

WRITES = {"execute", "executemany", "commit", "write", "replace", "rename", "fsync", "mkdir", "open", "close"}
home = Path(sys.argv[1])
configuration = load_configuration()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        fatal, seed = map(int, line.split())
        done = 0

        def watch(frame, event, function):
            global done
            if event == "c_call" and function.__name__ in WRITES:
                done += 1
                if done == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

        rows, stores = rows_for(configuration, 300, seed=seed), Stores(home)
        before = promotion.registry.version_with_alias(promotion.registry.open_registry(home), MODEL, "champion")
        sys.setprofile(watch)
        version = register(home, configuration, rows, spec_for(configuration))
        trained = done
        promotion.promote(stores, MODEL, version, expected=before, reason="a test", actor="child")
        sys.setprofile(None)
        print(f"done {trained} {done}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


class Trainer:
    """Trainings and promotions on one home, each in a process of its own."""

    def __init__(self, home: Path, config: Path) -> None:
        variables = {**os.environ, "FX_CONFIG_DIR": str(config), "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-c", LAUNCHER, str(home)]
        self.process = subprocess.Popen(
            command,
            env=variables,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seed = 100

    def run(self, fatal: int) -> tuple[int, int] | None:
        """One training and promotion, killed before its call number `fatal`; None if it was killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.seed += 1
        self.process.stdin.write(f"{fatal} {self.seed}\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().split()
        assert said, "the launcher died"
        if said[0] == "gone":
            return None
        assert self.process.stdout.readline().strip() == "gone"
        return int(said[1]), int(said[2])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def trainer(tmp_path, monkeypatch) -> Iterator[tuple[Stores, Trainer]]:
    """A home whose champion is version 1."""
    config = write_config(tmp_path / "config", models=SMALL_MODELS)
    configuration = configuration_of(config, monkeypatch)
    stores = Stores(tmp_path / "home")
    register(stores.home, configuration, rows_for(configuration, 300), spec_for(configuration))
    promotion.promote(stores, MODEL, "1", reason="the first", actor="test")
    running = Trainer(stores.home, config)
    yield stores, running
    running.stop()


def whole_champion(stores: Stores) -> str:
    """The one champion: it exists, was approved, and all its files are what its tags say."""
    found = champion.load(stores, MODEL)
    assert found is not None, "there is no champion"
    holders = [record.version for record in registry.records(stores, MODEL) if registry.CHAMPION in record.aliases]
    assert holders == [found.version]
    assert found.record.gates == "approved"
    assert found.record.lacks == []
    assert len(registry.rows(stores, found.record)) == 300
    assert registry.gold(stores, found.record)
    return found.version


def test_one_whole_champion_whenever_a_training_or_promotion_is_killed(trainer):
    stores, running = trainer
    whole = running.run(0)
    assert whole is not None
    trained, total = whole
    assert 0 < trained < total
    assert whole_champion(stores) == "2"
    # Half of them over the training, a quarter over the promotion, a quarter over its last calls: there the alias has
    # moved, and only the log is still to be ended.
    quarter = count("registry_kills") // 4
    training = [1 + n * trained // (2 * quarter) for n in range(2 * quarter)]
    promoting = [trained + 1 + n * (total - trained) // quarter for n in range(quarter)]
    ending = [total - n % 8 for n in range(quarter)]
    outcomes = []
    for fatal in training + promoting + ending:
        before = whole_champion(stores)
        ended = running.run(fatal)
        after = whole_champion(stores)
        newest = registry.records(stores, MODEL)[0].version
        assert after in (before, newest)
        # A version of which any trace is in the registry is complete.
        assert all(record.lacks == [] for record in registry.records(stores, MODEL))
        outcomes.append((ended is None, after != before))
        assert PromotionLog(stores.home).first_broken() is None
    killed = [moved for was_killed, moved in outcomes if was_killed]
    assert len(killed) >= 0.8 * len(outcomes)
    assert not any(moved for was_killed, moved in outcomes[: len(training)] if was_killed)
    assert any(killed), "no kill came after the alias had moved"
    assert False in [moved for was_killed, moved in outcomes[len(training) :] if was_killed], "none came before it"
    # Whoever comes next settles what was left open, and finds the registry usable.
    last = running.run(0)
    assert last is not None
    assert whole_champion(stores) == registry.records(stores, MODEL)[0].version
    assert {change.outcome for change in promotion.history(stores)} <= {"done", "undone"}
    log = [c for c in promotion.history(stores) if c.outcome == "done"]
    assert log[-1].version == whole_champion(stores)
