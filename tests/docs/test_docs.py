"""The documents agree with the program: links, commands, options, keys, variables, routes, generated tables."""

import json
import re
import shlex
import struct
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import click
import pytest
import typer.main
import yaml
from pydantic import BaseModel

from tests.docs.summary import summary_problems

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROSE = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
MAX_IMAGE = 200_000


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(match[1]) for match in re.finditer(r"^#+ +(.+?) *$", path.read_text(encoding="utf-8"), re.M)}


def local_links() -> Iterator[tuple[str, str]]:
    for name, text in PROSE.items():
        for target in LINK.findall(text):
            if not re.match(r"[a-z]+:", target):
                yield name, target


@pytest.mark.parametrize(("name", "target"), [pytest.param(*link, id=" -> ".join(link)) for link in local_links()])
def test_links_lead_somewhere(name, target):
    path, _, anchor = target.partition("#")
    found = (ROOT / name).parent / path if path else ROOT / name
    assert found.exists(), f"{name} links to {target}"
    assert not anchor or anchor in anchors(found), f"{name}: {target} has no such heading"


def test_every_document_and_image_is_linked():
    linked = {((ROOT / name).parent / target.partition("#")[0]).resolve() for name, target in local_links()}
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()]
    assert not [str(path.relative_to(ROOT)) for path in files if path.resolve() not in linked]


def test_images_are_pictures_of_a_bearable_size():
    for path in (ROOT / "docs" / "images").glob("*.png"):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG"), path
        assert min(struct.unpack(">II", content[16:24])) >= 400, path
        assert len(content) < MAX_IMAGE, f"{path}: {len(content)} bytes"


def test_readme_begins_with_what_it_is_and_how_to_start():
    head = PROSE["README.md"].split("## ")[0]
    assert re.search(r"^ +make demo\b.*\n +make test\b", head, re.M)
    assert head.index("make demo") < head.index("![")


# ---- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fx() -> click.Group:
    from fx_serving import cli

    assert cli.add_installed_commands(cli.app) >= 1
    return cast(click.Group, typer.main.get_command(cli.app))


def written_commands() -> Iterator[tuple[str, str]]:
    """Every fx command line in a code block or code span."""
    for name, text in PROSE.items():
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
        blocks = re.findall(r"^ {4,}(.+)$", text, re.M) + re.findall(r"^(?:\$ )?(fx .+)$", text, re.M)
        for line in [*spans, *blocks]:
            line = re.sub(r"^\s*(?:[A-Z_]+=\S+ +)*(?:\.venv/bin/)?", "", line)
            if re.match(r"fx [a-z]", line):
                yield name, re.split(r" {3,}| # ", line)[0]


def check_command(fx: click.Group, line: str) -> None:
    command: Any = fx
    for word in shlex.split(line)[1:]:
        if hasattr(command, "commands") and word not in command.commands and hasattr(command, "default"):
            command = command.commands[command.default]
        if hasattr(command, "commands") and not word.startswith("-"):
            assert word in command.commands, f"{line}: no command {word}"
            command = command.commands[word]
        elif word.startswith("--"):
            known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert word.partition("=")[0] in known, f"{line}: no option {word}"


@pytest.mark.parametrize(("name", "line"), sorted(set(written_commands())))
def test_commands_and_options_exist(fx, name, line):
    check_command(fx, line)


def test_the_readme_lists_every_command(fx):
    written = {shlex.split(line)[1] for name, line in written_commands() if name == "README.md"}
    assert set(fx.commands) <= written


@pytest.mark.parametrize("line", ["fx deploy", "fx up --hom x", "fx rollout begin", "fx backfill --until 2022-01-01"])
def test_a_wrong_command_is_found(fx, line):
    with pytest.raises(AssertionError):
        check_command(fx, line)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {t for text in PROSE.values() for t in re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.M)}
    assert {"demo", "test"} <= named <= targets


# ---- keys, variables, routes --------------------------------------------------------------------------------------


def fields(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


def test_every_configuration_key_is_documented():
    from fx_assets import configuration as assets
    from fx_serving import config as serving

    text = PROSE["docs/configuration.md"]
    words = set(re.findall(r"[a-z][a-z0-9_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    models = (
        *(assets.Sessions, assets.Instrument, assets.News, assets.Label, assets.Candidate, assets.Training),
        *(assets.Validation, assets.Search, assets.Range, assets.Choices, assets.Strategy),
        *(assets.Model, assets.Gate, serving.ServingConfig, serving.SidecarSettings),
        *(serving.LeaseSettings, serving.LimitSettings, serving.LogSettings, serving.FeedbackSettings),
        *(serving.AccessSettings, serving.ModelSettings, serving.PolicyStep, serving.RolloutPolicy),
    )
    missing = {f"{model.__name__}.{name}" for model in models for name in fields(model) - words}
    # A candidate's params and rounds are named in the row of its list.
    assert not missing


def shown(value: Any) -> str:
    """A default as the documents write it: lists by their items, a rollout's steps by their weights."""
    if isinstance(value, list):
        return ", ".join(str(item["weight"] if isinstance(item, dict) else item) for item in value) or "none"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "none" if value == {} else str(value)


def test_the_documented_serving_defaults_are_the_real_ones():
    from fx_serving.config import PACKAGED, ServingConfig

    shipped = yaml.safe_load(PACKAGED.read_text())
    flat = {k: v for k, v in shipped.items() if not v or not isinstance(v, dict)}
    flat |= {
        f"{section}.{k}": v for section, part in shipped.items() if isinstance(part, dict) for k, v in part.items()
    }
    assert flat["rollout.min_requests"] == 500
    section = PROSE["docs/configuration.md"].split("## serving.yaml")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z_.0-9]+)` \| ([^|]+) \|", section, re.M))
    assert ServingConfig.model_validate(shipped) == ServingConfig()
    for key, value in flat.items():
        assert rows[key].strip("` ") == shown(value), key


def test_every_environment_variable_is_documented():
    sources = [p for package in ("fx_assets", "fx_serving", "fx_monitoring") for p in (ROOT / package).rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"\bFX_[A-Z_]+\b", path.read_text())}
    assert len(used) > 4
    used -= {"FX_INTRADAY", "FX_DAILY"}  # what Alpha Vantage calls its functions
    assert not used - set(re.findall(r"`(FX_[A-Z_]+)`", PROSE["docs/configuration.md"]))


def test_every_route_is_documented(tmp_path):
    from fx_serving.client.home import Stores
    from fx_serving.dataplane.app import build_app

    nothing = cast(Any, None)  # the parts behind the routes; none is asked here
    paths = build_app(Stores(tmp_path), "w0", nothing, nothing, nothing, nothing).openapi()["paths"]
    assert "/predict" in paths
    text = PROSE["docs/serving.md"]
    assert not [
        f"{m.upper()} {path}" for path, ways in paths.items() for m in ways if f"{m.upper()} {path}" not in text
    ]


# ---- generated tables ---------------------------------------------------------------------------------------------


def module(name: str) -> Any:
    """One of the programs in docs/."""
    spec = spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_the_tables_are_what_the_generator_writes():
    assert module("generate_tables").render() == PROSE["docs/tables.md"], "Run: python docs/generate_tables.py"


def test_the_features_are_what_the_generator_writes():
    assert module("generate_features").render() == PROSE["docs/features.md"], "Run: python docs/generate_features.py"


def test_the_news_signals_are_what_the_generator_writes():
    assert module("generate_news").render() == PROSE["docs/news.md"], "Run: python docs/generate_news.py"


def test_the_documents_speak_of_every_feature_and_table():
    from fx_assets.features import feature_names
    from fx_assets.runs.steps import TABLES

    text = PROSE["docs/features.md"]
    assert not [name for name in feature_names() if f"| `{name}` |" not in text]
    assert not [table for table in TABLES if f"`{table}`" not in PROSE["docs/architecture.md"]]


# ---- quoted figures -----------------------------------------------------------------------------------------------


def test_the_documents_quote_the_stored_demo():
    quote = module("quote_demo")
    summary = json.loads(quote.STORED.read_text())
    for path in quote.DOCUMENTS:
        text = path.read_text()
        assert set(quote.BLOCK.findall(text)), path
        assert quote.quoted(text, summary) == text, "Run: python docs/quote_demo.py"


def test_the_stored_demo_fits_its_schema():
    assert summary_problems(ROOT / "docs" / "demo-summary.json") == []
