"""The service's errors of the last hours: an old burst is forgotten, and one before a restart is not."""

import json
from datetime import UTC, datetime, timedelta

from fx_monitoring.configuration.health import Health
from fx_monitoring.health.errors import Errors, note
from fx_monitoring.health.quant import judge_errors
from fx_serving.client.home import Stores

START = datetime(2026, 11, 16, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class Service:
    """Looks at a service every quarter of an hour."""

    def __init__(self, home) -> None:
        self.stores, self.at, self.counts = Stores(home), START, {"blue": [0, 0]}
        self.begin(1)

    def begin(self, pid: int) -> None:
        self.counts = {"blue": [0, 0]}
        self.stores.address.parent.mkdir(parents=True, exist_ok=True)
        self.stores.address.write_text(json.dumps({"pid": pid}))

    def look(self, asked: int = 100, failed: int = 0, slot: str = "blue", hours: float = 6) -> Errors:
        count = self.counts.setdefault(slot, [0, 0])
        count[0], count[1] = count[0] + asked, count[1] + failed
        slots = {name: {"version": "1", "requests": n, "errors": bad} for name, (n, bad) in self.counts.items()}
        self.at += QUARTER
        return note(self.stores, {"models": {"m": {"blue": None, "green": None} | slots}}, self.at, hours)


def colour(found: Errors) -> str:
    return judge_errors(found, Health()).status


def test_the_first_look_knows_the_totals_alone(tmp_path):
    found = Service(tmp_path).look(1_000, 60)
    assert found == Errors(1_000, 60, None)
    assert judge_errors(found, Health()).why.startswith("60 of 1000 answers since the service's start were errors")


def test_a_burst_is_red_while_it_is_new_and_gone_after_the_window(tmp_path):
    service = Service(tmp_path)
    service.look()
    assert colour(service.look(100, 50)) == "RED"
    later = [service.look() for _ in range(30)]
    assert colour(later[0]) == "RED"
    assert [found.failed for found in later[20:]] == [50, 50, 50, *[0] * 7]
    assert colour(later[-1]) == "GREEN"
    assert later[-1].since == service.at - timedelta(hours=6)
    assert later[-1].asked == 24 * 100


def test_a_restart_hides_no_burst_and_counts_nothing_twice(tmp_path):
    service = Service(tmp_path)
    service.look(1_000)
    service.look(100, 50)
    service.begin(2)
    found = service.look(2_000, 0)  # more than before the restart: only the process tells that it is another
    assert found == Errors(100 + 2_000, 50, START + QUARTER)
    service.stores.address.unlink()  # a service that runs elsewhere says nothing of its process
    service.look(10)
    service.counts = {"blue": [0, 0]}
    assert service.look(30, 3) == Errors(100 + 2_000 + 10 + 30, 53, START + QUARTER)


def test_a_candidate_that_was_taken_back_stays_in_the_window(tmp_path):
    service = Service(tmp_path)
    service.look()
    service.look(100, 40, "green")
    del service.counts["green"]
    assert service.look() == Errors(200, 40, START + QUARTER)


def test_a_damaged_file_begins_anew(tmp_path):
    service = Service(tmp_path)
    service.look()
    for content in (b"{", b'{"looks": [{"at": "\xff"}]}', b'{"looks": [1]}'):
        (tmp_path / "monitoring" / "service-errors.json").write_bytes(content)
        assert service.look().since is None
