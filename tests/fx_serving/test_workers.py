"""What the controller believes of the workers' status files."""

import os
from datetime import UTC, datetime, timedelta

import msgspec

from fx_serving.controller.workers import HEARTBEAT_S, WorkerStatus, confirmation, live_workers


def test_a_worker_counts_while_its_process_lives_and_its_file_is_whole_and_recent(tmp_path):
    now = datetime.now(UTC)
    late = now - timedelta(seconds=2 * HEARTBEAT_S)
    for name, pid, heartbeat in (("0", os.getpid(), now), ("1", 2**22 + 1, now), ("2", os.getpid(), late)):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(WorkerStatus(pid, 7, {"move 3": "bad"}, heartbeat)))
    for name, content in (("3", b""), ("4", b'{"pid": '), ("5", b'{"pid": 1, "errors": {"\xff": ""}}'), ("6", b"[]")):
        (tmp_path / f"{name}.json").write_bytes(content)
    assert list(live_workers(tmp_path)) == ["0"]
    assert confirmation(tmp_path, 7, "move", "3") == (True, "0: bad")
    assert confirmation(tmp_path, 8, "move", "3") == (False, None)
