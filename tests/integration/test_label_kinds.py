"""Every kind of label through Dagster: gold/labels made in one run and session by session, with the same bytes."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pytest

from fx_assets.labels import outcome
from tests.fx_assets.small import (
    INSTRUMENTS,
    MODELS,
    TINY,
    Platform,
    changed,
    checks,
    configuration_of,
    write_config,
)

FIRST, LAST = "2020-11-29", "2021-01-20"
# With Christmas, New Year and weekends behind them; the last one's labels are not decided yet.
SINGLE = ("2020-12-22", "2020-12-23", "2021-01-03", "2021-01-14", "2021-01-20")
KINDS = {
    "hold": {"kind": "triple_barrier", "timeout_bars": 24, "up": 1.5, "volatility_span": 24},
    "follow": {"kind": "meta", "timeout_bars": 12, "volatility_span": 24},
    "second": {"kind": "meta", "timeout_bars": 12, "volatility_span": 24, "primary": "ahead"},
    "ahead": {"kind": "direction", "horizon_bars": 5},
    "size": {"kind": "return", "horizon_minutes": 240},
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    models = {name: {"label": label, "candidates": [TINY], "gates": "easy"} for name, label in KINDS.items()}
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        folder = write_config(
            tmp_path_factory.mktemp("config"),
            changed(INSTRUMENTS, sessions={"start": FIRST, "end": LAST}),
            changed(MODELS, models=MODELS["models"] | models),
        )
        made = Platform(home, configuration_of(folder, patch), instance)
        made.run(["bronze/candles"], FIRST, LAST)
        made.run(["silver/candles"], FIRST, LAST)
        yield made


@pytest.fixture(scope="module")
def labels(platform) -> pd.DataFrame:
    result = platform.run(["gold/labels"], FIRST, LAST)
    assert checks(result)["gold/labels/schema"].passed
    return platform.lake.table("gold/labels")


def test_a_session_alone_is_the_same_file_as_in_one_run(platform, labels):
    for key in SINGLE:
        path = platform.lake.path("gold/labels", key)
        before = path.read_bytes()
        path.unlink()
        platform.run(["gold/labels"], key)
        assert path.read_bytes() == before, key


@pytest.mark.parametrize("model", ["hold", "follow", "ahead", "size"])
def test_labels_end_after_their_decision_and_are_missing_at_the_end(platform, labels, model):
    found = outcome(labels, platform.configuration.models.models[model].label)
    known = found["label"].notna()
    assert known[found["time"] > "2020-12-10"].mean() > 0.7
    assert (found["label_end"] > found["decision_time"])[known].all()
    assert not known[found["time"] == found["time"].max()].any()


def test_another_models_forecasts_choose_the_side(platform, labels):
    label = platform.configuration.models.models["second"].label
    forecasts = labels[["instrument", "time"]].assign(prediction=0.4)
    found = outcome(labels, label, forecasts)
    known = found["label"].notna()
    assert known.sum() > 500
    assert ((found["forward_return"] < 0) == (found["label"] == 1))[known].all()
