"""fx models: what it tells, what it changes, and that nothing changes without a reason."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fx_assets.cli.models import app
from fx_assets.models import promotion, registry
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for, study_record
from tests.fx_assets.small import changed, configuration_of, write_config

pytestmark = pytest.mark.slow

MODELS = changed(SMALL_MODELS, models__move__expires_days=30)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return write_config(tmp_path_factory.mktemp("config"), models=MODELS)


@pytest.fixture(scope="module")
def made(tmp_path_factory, config) -> Path:
    """Versions 1 (approved, with a study) and 2 (rejected)."""
    home = tmp_path_factory.mktemp("registry") / "home"
    with pytest.MonkeyPatch.context() as patch:
        configuration = configuration_of(config, patch)
    rows, spec = rows_for(configuration, 900), spec_for(configuration)
    record, predictions = study_record(rows, spec)
    for gates in ("approved", "rejected"):
        register(home, configuration, rows, spec, gates=gates, studied=record, predictions=predictions)
    return home


@pytest.fixture
def home(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def run(home, config, monkeypatch):
    """One command of the group on the home; its code and its words, without the breaks of lines."""
    monkeypatch.setenv("FX_CONFIG_DIR", str(config))
    monkeypatch.setenv("FX_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, clock: str = "2021-04-01T12:00:00Z") -> tuple[int, str]:
        monkeypatch.setenv("FX_CLOCK", clock)
        done = CliRunner().invoke(app, [*arguments, "--home", str(home)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    return call


def champion(home: Path) -> str | None:
    return registry.version_with_alias(registry.open_registry(home), MODEL, registry.CHAMPION)


def test_a_version_goes_its_whole_way(run, home):
    code, told = run()
    assert code == 0
    assert re.search(r"move .* none .* 2 .* rejected .* 2 ", told), told
    code, told = run("promote", "move/1", "--reason", "the best there is", "--by", "ada")
    assert (code, champion(home)) == (0, "1"), told
    assert "champion of move is version 1" in told
    code, told = run("list")
    assert "2021-04-14" in told
    assert "EXPIRED" not in told
    assert "EXPIRED 2021-04-14" in run("list", clock="2021-05-01T00:00:00Z")[1]
    code, told = run("show", "move/champion")
    assert code == 0
    for words in (
        "champion",
        "approved",
        "training_set_hash",
        "spec_sha256",
        "AUC above it",
        "ada",
        "the best there is",
    ):
        assert words in told
    code, told = run("promote", "move/2", "--reason", "try")
    assert (code, champion(home)) == (1, "1")
    assert "version 2 is rejected" in told
    assert run("promote", "move/2", "--reason", "an experiment", "--force")[0] == 0
    code, told = run("rollback", "move", "--reason", "it failed")
    assert (code, champion(home)) == (0, "1"), told
    assert run("retire", "move", "--reason", "another label")[0] == 0
    assert champion(home) is None
    assert [change.action for change in promotion.history(Stores(home))] == ["promote", "promote", "rollback", "retire"]


def test_a_rejection_is_told_and_kept(run, home):
    code, told = run("reject", "move/challenger", "--reason", "a bad week")
    assert (code, "move version 2 is rejected" in told) == (0, True)
    assert registry.record(Stores(home), MODEL, "2").missed == [promotion.BY_HAND]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "move"), "'move' is no version. Write MODEL/VERSION"),
        (("show", "move/9"), "move has no version '9'. `fx models` lists"),
        (("show", "move/champion"), "move has no champion"),
        (("promote", "move/1"), "--reason"),
        (("promote", "move/1", "--reason", " "), "needs a reason"),
        (("rollback", "move", "--reason", "x"), "there is no champion to roll back from"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_remedy(run, home, arguments, words):
    code, told = run(*arguments)
    assert code != 0
    assert words in told
    assert champion(home) is None


def test_reproducing_says_so_and_names_what_differs(run, home):
    code, told = run("reproduce", "move/1")
    assert code == 0, told
    assert re.search(r"move version 1 is reproduced: model [0-9a-f]{12} byte for byte, \d+ figures and \d+ pred", told)
    stores = Stores(home)
    path = registry.artifact(stores, registry.record(stores, MODEL, "1"), registry.FIGURES)
    path.write_bytes(path.read_bytes().replace(b'"chosen": "tiny"', b'"chosen": "huge"'))
    code, told = run("reproduce", "move/1")
    assert code == 1
    assert "figure chosen: tiny, registered huge" in told
    assert "move version 1 is not reproduced" in told


def test_the_help_teaches(run):
    code, told = run("--help")
    assert code == 0
    told = told.replace("│ ", "").replace(" │", "")
    for words in ("fx models promote move_60m/3 --reason TEXT", "MODEL/champion", "reproduce", "rollback", "study"):
        assert words in told
