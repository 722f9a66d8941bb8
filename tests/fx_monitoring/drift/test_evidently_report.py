"""The HTML report: written whole, sampled, on awkward columns, within its budget."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_monitoring.drift.evidently_report import render_html

# In a process of its own: Evidently reads its environment when it is imported.
_RENDER = """
import os, sys
import numpy as np, pandas as pd
from fx_monitoring.drift.evidently_report import render_html
rng = np.random.default_rng(0)
names = [f"feature_{i}" for i in range(60)]
reference = pd.DataFrame(rng.normal(size=(5_000, 60)), columns=names)
current = pd.DataFrame(rng.normal(0.2, 1, size=(2_000, 60)), columns=names)
render_html(reference, current, names, sys.argv[1])
print(os.environ["DO_NOT_TRACK"])
"""


def test_sixty_features_without_telemetry(tmp_path):
    path = tmp_path / "report.html"
    env = {key: value for key, value in os.environ.items() if key != "DO_NOT_TRACK"}
    done = subprocess.run(
        [sys.executable, "-c", _RENDER, str(path)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.splitlines()[-1] == "1"
    html = path.read_text()
    assert html.rstrip().endswith("</html>")
    assert "feature_59" in html


def test_awkward_columns_are_drawn_or_left_out(tmp_path):
    rng = np.random.default_rng(1)
    reference = pd.DataFrame(
        {
            "plain": rng.normal(size=300),
            "constant": 1.0,
            "holes": np.where(rng.random(300) < 0.3, np.nan, rng.normal(size=300)),
            "column_of_nullable_integers": pd.array(rng.integers(0, 3, 300), dtype="Int64"),
            "flag": rng.random(300) < 0.5,
            "column_without_values": np.nan,
        }
    )
    path = render_html(reference, reference, list(reference.columns), tmp_path / "a" / "report.html", max_rows=200)
    html = path.read_text()
    assert "column_of_nullable_integers" in html
    assert "column_without_values" not in html
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_nothing_to_draw_says_what_to_do(tmp_path):
    blank = pd.DataFrame({"a": [np.nan, np.nan]})
    with pytest.raises(DataError, match="Materialize"):
        render_html(blank, blank, ["a"], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
