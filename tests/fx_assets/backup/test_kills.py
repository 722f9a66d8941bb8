"""kill -9 in the middle of a backup: it is no backup and shows as none, earlier ones stay whole, the next goes on."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fx_assets.backup.kept import Backups
from fx_assets.backup.objects import known
from fx_assets.storage import open_store
from tests.counts import count
from tests.fx_assets.backup.homes import back_up, bring_back, plain, rows, small_home, write
from tests.fx_assets.cli.conftest import files_below

ENDING = 80  # calls
# Forks a backup for every line it reads, so that imports are paid for once. A line: before which call into files or
# database it kills itself (0: before none).
LAUNCHER = """
import filelock, os, signal, sys, threading
from pathlib import Path
from fx_assets.backup import objects
from tests.fx_assets.backup.homes import back_up

objects.BATCH_FILES = 5  # so that a small home takes many batches, as a large one does
WRITES = {"backup", "execute", "read", "write", "replace", "rename", "link", "fsync", "open", "close", "unlink"}
home, where = Path(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        fatal, done = int(line), 0

        def watch(frame, event, function):
            global done
            if event == "c_call" and function.__name__ in WRITES:
                done += 1
                if done == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(watch)
        sys.setprofile(watch)
        back_up(home, where)
        sys.setprofile(None)
        print(f"done {done}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.mark.slow(20)
def test_a_killed_backup_is_none_and_harms_no_other(tmp_path: Path):
    home, where, rng = small_home(tmp_path / "home"), str(tmp_path / "backups"), random.Random(11)
    first = back_up(home, where).manifest
    backups = Backups(open_store(where))
    command = [sys.executable, "-c", LAUNCHER, str(home), where]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None

        def run(fatal: int) -> int | None:
            """How many calls a backup of files that are all new made; None if it was killed."""
            assert launcher.stdin is not None
            assert launcher.stdout is not None
            write(home, {f"cards/{n}.md": rng.randbytes(2000) for n in range(33)})
            print(fatal, file=launcher.stdin, flush=True)
            said = launcher.stdout.readline().split()
            if said[0] == "gone":
                return None
            assert launcher.stdout.readline() == "gone\n"
            return int(said[1])

        total = run(0)
        assert total is not None
        kills, seen = count("backup_kills"), {"unfinished": 0, "added": 0}
        for n in range(kills):
            before, pieces = [kept.id for kept in backups.all() if kept.manifest], known(backups.store)
            # One half over the whole backup, one over its end: the last pieces, the manifest, the mark.
            part = (n // 2 + rng.random()) / (kills / 2)
            fatal = 1 + int(part * total) if n % 2 else total - int(part * ENDING)
            ended = run(fatal)
            after = backups.all()
            finished = [kept.id for kept in after if kept.manifest]
            assert finished[: len(before)] == before
            assert not [kept for kept in after if kept.damaged]
            assert backups.verify([kept.manifest for kept in after if kept.manifest]) == []
            if len(finished) == len(before):
                assert ended is None
                seen["unfinished"] += any(kept.manifest is None for kept in after)
                seen["added"] += known(backups.store) > pieces
        assert seen["unfinished"] > 0, "no kill came between the beginning of a backup and its end"
        assert seen["added"] > 0, "no kill came after anything was written"
        assert run(0) is not None
        launcher.stdin.close()
    kept = backups.all()
    assert all(one.manifest for one in kept), "a finished backup takes the marks of interrupted ones away"
    assert plain(bring_back(where, tmp_path / "new")) == plain(bring_back(where, tmp_path / "newest", kept[-1].id))
    assert (tmp_path / "new/cards/29.md").read_bytes() == (home / "cards/29.md").read_bytes()
    restored = bring_back(where, tmp_path / "old", first.id)
    assert rows(restored) == list(range(100))
    assert not (restored / "cards").exists()
    backups.prune(1)
    assert known(backups.store) == backups.get().objects, "what killed backups added, and nobody needs, stayed"


@pytest.mark.slow(20)
def test_a_killed_restore_leaves_no_home(tmp_path: Path):
    home, where = small_home(tmp_path / "home"), str(tmp_path / "backups")
    back_up(home, where)
    code = (
        "import os, sys; from pathlib import Path; import fx_assets.backup.restore as r\n"
        "from tests.fx_assets.backup.homes import bring_back\n"
        "r.os.sync = lambda: os.kill(os.getpid(), 9)\n"
        "bring_back(sys.argv[1], Path(sys.argv[2]))"
    )
    target = tmp_path / "back" / "home"
    done = subprocess.run([sys.executable, "-c", code, where, target], cwd=Path(__file__).parents[3], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(list(target.parent.iterdir())) == 1, "the files were to be there, hidden beside the home"
    done = Backups(open_store(where)).get()
    assert {file.path for file in done.files} <= files_below(bring_back(where, target)).keys()
