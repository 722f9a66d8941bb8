"""fx backfill and the reference files of data.yaml: copied first, and what they change is made again."""

import pytest

from fx_assets.bronze.files import Bronze
from fx_assets.lake import Lake
from tests.fx_assets.small import INSTRUMENTS, changed, write_config
from tests.servers.platform import fx

RATES = "available_at,currency,rate\n2020-03-15T21:00:00Z,USD,0.25\n2020-03-19T12:00:00Z,GBP,0.1\n"
SESSIONS = {"start": "2021-01-03", "end": "2021-01-05"}


@pytest.mark.slow(25)
def test_a_file_that_changes_is_copied_first_and_a_bad_one_leaves_everything_as_it_is(tmp_path):
    home, file = tmp_path / "home", tmp_path / "rates.csv"
    file.write_text(RATES)
    write_config(home / "config", changed(INSTRUMENTS, sessions=SESSIONS), data={"reference": {"rates": str(file)}})
    tables = ("backfill", "--tables", "gold/market_features", "--home", home)
    done = fx(*tables)
    assert done.returncode == 0, done.stderr + done.stdout
    lake, bronze = Lake(home / "lake"), Bronze(home / "lake")
    assert lake.table("gold/market_features", instruments="GBP_USD")["rate_differential"].round(9).eq(-0.15).all()
    assert "nothing to do" in fx(*tables).stdout

    file.write_text(RATES + "2021-01-05T12:00:00Z,GBP,0.25\n")
    told = fx(*tables, "--dry-run")
    assert "bronze/rates: the file has changed; it is copied first" in " ".join(told.stdout.split())
    assert "nothing else to do" in told.stdout
    assert len(bronze.store.list("bronze/rates")) == 1
    done = fx(*tables)
    assert done.returncode == 0, done.stderr + done.stdout
    after = lake.table("gold/market_features", instruments="GBP_USD").set_index("available_at")["rate_differential"]
    assert after[:"2021-01-05T11:00Z"].round(9).eq(-0.15).all()
    assert after["2021-01-05T12:00Z":].eq(0.0).all()
    assert len(bronze.store.list("bronze/rates")) == 2

    file.write_text("available_at,currency,rate\nsoon,GBP,1\n")
    bad = fx(*tables)
    assert "data.yaml: reference.rates: row" in bad.stderr
    assert "The copy before it stays in use" in bad.stderr
    assert "nothing to do" in bad.stdout
    file.unlink()
    gone = fx(*tables)
    assert "data.yaml: reference.rates" in gone.stderr
    assert "nothing to do" in gone.stdout
