"""The check no_lookahead as Dagster sees it: its specification, and what an asset reports of it."""

import dagster as dg

from fx_assets.silver.lookahead_check import CHECK, DESCRIPTION, Lookahead

_TOLD = 20


def lookahead_spec(table: str) -> dg.AssetCheckSpec:
    """The blocking check of a feature table."""
    return dg.AssetCheckSpec(CHECK, asset=table.split("/"), blocking=True, description=DESCRIPTION)


def with_lookahead(result: dg.MaterializeResult, look: Lookahead) -> dg.MaterializeResult:
    """An asset's result with what was found in its run."""
    told = [f"{session}: {words}" for session in sorted(look.problems) for words in look.problems[session]]
    check = dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=result.asset_key,
        passed=not told,
        description=told[0] if told else None,
        metadata={"sessions": look.checked[:_TOLD], "problems": told[:_TOLD] or ["none"]},
    )
    return result._replace(check_results=[*(result.check_results or ()), check])
