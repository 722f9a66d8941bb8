"""A verdict is as bad as its worst tier, and what is not known is not good."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.errors import ConfigError
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.configuration.health import Limits
from fx_monitoring.health import latest_health
from fx_monitoring.health.report import tier_table
from fx_monitoring.health.tiers import Health, Tier, falling, rising, unknown, verdict, worst, write_health
from fx_serving.client.home import Stores

AT = datetime(2022, 3, 1, tzinfo=UTC)
COLOURS = st.sampled_from(["GREEN", "YELLOW", "RED"])


@given(st.lists(COLOURS, min_size=1))
def test_the_worst_tier_wins(colours):
    found = verdict([Tier(str(k), colour, None, None, "") for k, colour in enumerate(colours)], AT)
    assert found.status == ("RED" if "RED" in colours else "YELLOW" if "YELLOW" in colours else "GREEN")
    assert len(found.reasons) == sum(colour != "GREEN" for colour in colours)


def test_nothing_known_is_yellow():
    assert worst([]) == "YELLOW"
    assert unknown("x", "no report", "make one").status == "YELLOW"
    assert rising("x", None, Limits(yellow=1, red=2), "", "").status == "YELLOW"
    assert falling("x", float("nan"), Limits(yellow=2, red=1), "", "").status == "YELLOW"


@pytest.mark.parametrize(("value", "colour"), [(9.99, "GREEN"), (10, "YELLOW"), (14.99, "YELLOW"), (15, "RED")])
def test_a_limit_is_the_first_value_that_is(value, colour):
    tier = rising("x", value, Limits(yellow=10, red=15), "{:.0f} %", "mend it")
    assert tier.status == colour
    assert (tier.remedy == "") == (colour == "GREEN")
    assert falling("x", -value, Limits(yellow=-10, red=-15), "", "").status == colour


def test_an_older_session_does_not_replace_the_newest_verdict(tmp_path):
    stores = Stores(tmp_path)
    assert latest_health(stores) is None
    tier = Tier("drift", "RED", "RED", None, "a | b", "look")
    newer = Health("RED", AT, (tier,), "2022-03-01")
    assert write_health(stores.health, newer)
    assert not write_health(stores.health, Health("GREEN", AT, (), "2022-02-28"))
    assert latest_health(stores) == newer
    assert "| drift | RED | RED | - | a / b. look |" in tier_table(newer)
    stores.health.write_text("{")
    assert latest_health(stores) is None


def test_limits_the_wrong_way_round_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    (tmp_path / "monitoring.yaml").write_text("health: {drawdown_pct: {yellow: 20, red: 10}}")
    with pytest.raises(ConfigError, match=r"health: drawdown_pct: red 10 lies below yellow 20, but more is worse"):
        load_monitoring()
    (tmp_path / "monitoring.yaml").write_text("health: {sharpe: {yellow: 0, red: 1}}")
    with pytest.raises(ConfigError, match=r"sharpe: red 1 lies above yellow 0"):
        load_monitoring()
