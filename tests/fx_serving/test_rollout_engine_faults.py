"""The real engine when its database fails, its disk is full, or another controller leads."""

import pytest

from fx_serving.controller import publish
from fx_serving.controller.records import decode
from fx_serving.dataplane.errors import ApiError
from fx_serving.state import StateError
from tests.fx_serving.rollout_world import Home, run, whole


def test_a_database_that_fails_changes_nothing_and_is_read_again(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        commit, table = home.state.commit, home.table()

        def full(change, term):
            raise StateError("no space left on device")

        home.state.commit = full
        with pytest.raises(ApiError, match="no space left") as refused:
            home.engine.abort(id)
        assert refused.value.status == 503
        await home.ticks(3, 2)
        with pytest.raises(ApiError):
            home.engine.start("n", "1")
        assert home.table() == table, "what is not committed is not published"
        home.state.commit = commit
        await home.ticks(2, 2)
        await home.until(id, "canary")
        assert home.engine.abort(id).state == "aborted"
        assert whole(home)
        home.engine.close()

    run(way())


def test_a_table_that_cannot_be_written_is_written_with_the_next_renewal(tmp_path, monkeypatch):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(publish, "write_routing", full)
            assert home.engine.abort(id).state == "aborted"
            with pytest.raises(OSError, match="No space"):
                home.engine.renew()
        assert home.table().models["m"].green is not None
        home.engine.renew()
        assert home.table().models["m"].green is None
        home.engine.close()

    run(way())


def test_another_leader_shuts_an_engine_out(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        old = home.engine
        old.state.release("controller", "test")
        other = home.open()
        other.lead(other.state.lease("controller", "other", 60).term)
        with pytest.raises(ApiError, match="does not lead"):
            old.abort(id)
        await old.tick()
        assert not old.leading
        old.renew()
        assert home.table().term == other.term
        row = other.state.rollout(id)
        assert row is not None
        assert decode(row).state == "deploying"
        other.close()
        old.close()

    run(way())
