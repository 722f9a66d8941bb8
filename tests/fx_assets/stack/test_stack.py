"""What starting the services says when Dagster's databases cannot be made."""

import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import FxError
from fx_assets.stack.stack import Ports, Stack


def test_databases_that_cannot_be_opened_are_told_with_what_dagster_said(tmp_path):
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("storage: [")
    with (
        Stack(tmp_path, load_configuration(), Ports(dagster=1, serving=None, mlflow=None)) as stack,
        pytest.raises(FxError, match=r"(?s)Dagster cannot open its databases \(code 1\):.*Mend what is said") as caught,
    ):
        stack.start()
    assert str(tmp_path / "dagster") in str(caught.value)
    assert stack.processes == []
