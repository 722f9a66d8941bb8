"""alerts.yaml: what it may say, and how a mistake is told."""

import pytest
import yaml

from fx_assets.errors import ConfigError
from fx_assets.stack import addresses
from fx_monitoring.alerts.configuration import SHIPPED, AlertsFile, load_alerts


@pytest.fixture
def write(tmp_path, monkeypatch):
    def put(content: object) -> None:
        (tmp_path / "alerts.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))

    return put


def test_the_shipped_file_states_the_defaults():
    shipped = AlertsFile.model_validate(yaml.safe_load((SHIPPED / "alerts.yaml").read_text()))
    assert shipped.model_copy(update={"routes": {}}) == AlertsFile()
    assert list(shipped.routes) == ["desk", "duty"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"route": {}}, "route: unknown key"),
        ({"routes": {"Desk!": {}}}, "routes.Desk!"),
        ({"routes": {"desk": {"severities": ["loud"]}}}, "'loud' is not one of"),
        ({"routes": {"desk": {"quiet": {"start": "22:00", "end": "22:00", "timezone": "UTC"}}}}, "leave quiet out"),
        ({"routes": {"desk": {"quiet": {"start": "22:00", "end": "7", "timezone": "X/Y"}}}}, "quiet.timezone"),
        ({"routes": {"desk": {"limit": {"messages": 1}}}}, "limit.messages"),
        ({"delivery": {"attempts": 0}}, "delivery.attempts"),
        ({"rules": [{"match": ""}]}, "rules.0.match"),
        ("[]", "not a mapping"),
    ],
)
def test_a_mistake_names_file_and_key(write, content, said):
    write(content)
    with pytest.raises(ConfigError) as caught:
        load_alerts()
    assert said in str(caught.value)
    assert "alerts.yaml" in str(caught.value)


def test_links_lead_to_where_fx_up_listens_unless_they_are_stated(write, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    write({})
    assert load_alerts().links.dagster == "http://127.0.0.1:3000"
    addresses.write(tmp_path, {"Dagster UI": "http://127.0.0.1:3111", "metrics": "http://127.0.0.1:8777"})
    assert load_alerts().links.dagster == "http://127.0.0.1:3111"
    assert load_alerts().links.runbooks == "http://127.0.0.1:8777/runbooks"
    write({"links": {"dagster": "https://fx.example.org/dagster"}})
    assert load_alerts().links.dagster == "https://fx.example.org/dagster"
    assert load_alerts().links.runbooks == "http://127.0.0.1:8777/runbooks"
    (tmp_path / "stack.json").write_bytes(b"\xff{")
    assert load_alerts().links.runbooks == "http://127.0.0.1:8710/runbooks"


def test_addresses_come_from_the_environment_alone(monkeypatch):
    keys = AlertsFile.model_validate({"routes": {"desk": {}, "duty": {}}})
    assert keys.addresses("duty") == []
    monkeypatch.setenv("FX_ALERT_URLS", "json://everyone")
    assert (keys.addresses("desk"), keys.addresses("duty")) == (["json://everyone"], [])
    monkeypatch.setenv("FX_ALERT_URLS_DUTY", " json://one  mailto://two\n")
    assert keys.addresses("duty") == ["json://one", "mailto://two"]
    monkeypatch.setenv("FX_ALERT_URLS_DESK", "json://own")
    assert keys.addresses("desk") == ["json://own"]


def test_a_changed_file_is_read_again(write):
    write({"settle_seconds": 1})
    assert load_alerts().settle_seconds == 1
    write({"settle_seconds": 22})
    assert load_alerts().settle_seconds == 22
