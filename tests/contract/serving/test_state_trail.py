"""The audit trail over SQLite and PostgreSQL: whatever is changed, removed, moved, put in or cut off is found."""

from __future__ import annotations

import pytest

from fx_serving.client import rollout_log
from fx_serving.state import Change, read_head
from tests.contract.serving.states import entry, tamper


@pytest.mark.parametrize(
    ("change", "seq", "why"),
    [
        (["UPDATE audit SET why = 'x' WHERE seq = 3"], 3, "record 3 was changed"),
        (["UPDATE audit SET actor = 'x' WHERE seq = 3"], 3, "record 3 was changed"),
        (["UPDATE audit SET detail = '{}' WHERE seq = 4"], 4, "record 4 was changed"),
        (["UPDATE audit SET form = 1 WHERE seq = 2"], 2, "record 2 was changed"),
        (["DELETE FROM audit WHERE seq = 2"], 2, "record 2 is missing: record 3 follows record 1"),
        (["DELETE FROM audit WHERE seq = 1"], 1, "record 1 is missing"),
        (
            ["DELETE FROM audit WHERE seq > 4"],
            5,
            "record 5 is missing: the trail ends before it, but record 6",
        ),
        (["DELETE FROM audit"], 1, "record 1 is missing: the trail ends before it, but record 6"),
        (
            [
                "DELETE FROM audit WHERE seq = 2",
                *(f"UPDATE audit SET seq = {i - 1} WHERE seq = {i}" for i in range(3, 7)),
            ],
            2,
            "record 2 was changed",
        ),
        (
            [
                "UPDATE audit SET seq = 100 WHERE seq = 2",
                "UPDATE audit SET seq = 2 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 100",
            ],
            2,
            "record 2 was changed",
        ),
        (
            [
                *(f"UPDATE audit SET seq = {i + 1} WHERE seq = {i}" for i in range(6, 3, -1)),
                "INSERT INTO audit SELECT 4, at, actor, rollout_id, model, what, why, state, weight, detail, form, "
                "previous, hash FROM audit WHERE seq = 3",
            ],
            4,
            "record 4 was changed",
        ),
    ],
    ids=["why", "actor", "detail", "form", "removed", "first", "tail", "all", "renumbered", "swapped", "inserted"],
)
def test_a_trail_that_was_tampered_with_is_found(store, stores, change, seq, why):
    store.commit(Change(audit=tuple(entry(f"e{i}", detail={"i": i}) for i in range(1, 7))), None)
    assert store.verify_audit(read_head(stores.audit_head)).whole
    tamper(stores, *change)
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.seq) == (False, seq)
    assert str(verdict.why).startswith(why)
    assert rollout_log.broken_audit(stores.state, read_head(stores.audit_head)) == seq


def test_a_cut_tail_is_still_found_after_more_was_written(store, stores):
    store.commit(Change(audit=tuple(entry(f"e{i}") for i in range(1, 7))), None)
    tamper(stores, "DELETE FROM audit WHERE seq > 3")
    store.commit(Change(audit=tuple(entry(f"new{i}") for i in range(6))), None)
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.seq) == (False, 6)
    assert "the trail was replaced" in str(verdict.why)


def test_without_a_head_the_verdict_says_so(store, stores):
    store.commit(Change(audit=(entry(),)), None)
    stores.audit_head.unlink()
    verdict = store.verify_audit(read_head(stores.audit_head))
    assert (verdict.whole, verdict.head_checked) == (True, False)
    stores.audit_head.write_text("{")
    assert read_head(stores.audit_head) is None
    store.commit(Change(audit=(entry(),)), None)
    assert read_head(stores.audit_head) == (2, store.audit()[-1].hash)
