"""fx quality: whose tables it reads."""

import pandas as pd

from fx_assets.lake import Lake
from tests.fx_assets.small import write_config


def test_it_reads_the_lake_that_data_yaml_names(call, home, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("FX_CONFIG_DIR", str(write_config(tmp_path / "c", data={"storage": {"lake": str(elsewhere)}})))
    monkeypatch.setenv("FX_CLOCK", "2021-04-01T22:00:00Z")
    assert call("quality", "--from", "2021-03-01")[0] == 1
    time = pd.DatetimeIndex(["2021-03-02T10:00Z"]).as_unit("us")
    bar = {"instrument": "GBP_USD", "open": 1.2, "high": 1.2, "low": 1.2, "close": 1.2, "volume": 1.0}
    frame = pd.DataFrame({"time": time, **bar, "source": "sample"})
    Lake(elsewhere).write("silver/candles", {"2021-03-01": frame})
    code, told = call("quality")
    assert code == 0, told
    assert "1 sessions, 1 candles, 0 quarantined: 2021-03-01 to 2021-03-01" in told
    assert not (home / "lake").exists()
