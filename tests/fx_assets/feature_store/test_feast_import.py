"""The quick import leaves Feast whole, and typeguard and torch as they were."""

import subprocess
import sys
from pathlib import Path

from tests.servers.platform import environment

CODE = """
import sys
BEFORE
from fx_assets.feature_store.feast_import import load_feast
load_feast()
import typeguard
from feast import FeatureStore, FeatureView

@typeguard.typechecked
def double(number: int) -> int:
    return 2 * number

try:
    double("2")
except typeguard.TypeCheckError:
    print("checked")
print("torch" in sys.modules)
print("typeguard" in FeatureView.__init__.__code__.co_names)
"""


def imported(folder: Path, before: str = "") -> list[str]:
    script = folder / "script.py"  # typeguard reads the source of what it checks
    script.write_text(CODE.replace("BEFORE", before))
    done = subprocess.run([sys.executable, script], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_neither_torch_nor_the_checking_of_every_call_is_paid_for(tmp_path):
    assert imported(tmp_path) == ["checked", "False", "False"]


def test_what_was_loaded_before_stays(tmp_path):
    before = "import types, feast; sys.modules['torch'] = types.ModuleType('torch')"
    assert imported(tmp_path, before) == ["checked", "True", "True"]
