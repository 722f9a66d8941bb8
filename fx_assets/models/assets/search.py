"""hyperparameter_search: better parameters for one more candidate of the study, where a model's entry asks for it."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg
import pandas as pd

from fx_assets.evaluation import trials
from fx_assets.models import search, search_report, train
from fx_assets.models.assets.shared import Group
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import HEAVY
from fx_assets.tables import define_asset


def build(group: Group) -> Sequence[dg.AssetsDefinition]:
    """The asset of one model, if its entry has `search`."""
    wanted = group.entry.search
    if wanted is None:
        return []
    model = group.model

    @define_asset(
        ins={"rows": group.upstream("training_set")},
        **group.common(
            search.TABLE,
            {"optuna"},
            "Hyperparameters found by a seeded search; every trial counts against the model's Sharpe ratio.",
            pool=HEAVY,
            # Made when someone wants it, not every week.
            freshness_policy=None,
        ),
    )
    def hyperparameter_search(context: dg.AssetExecutionContext, home: HomeResource, rows: pd.DataFrame):
        session = context.partition_key
        spec = train.study_spec(group.configuration, model, session, rows, home.lake)
        journal = home.stores.home / "studies" / model / f"{session}.journal"
        found = search.run(rows, spec, wanted, journal, context.log.info)
        trials.add(home.lake, model, session, found.entries(spec))
        pruned = sum(trial["state"] == "pruned" for trial in found.trials)
        return dg.MaterializeResult(
            value={"model": model, "session": session, **asdict(found)},
            metadata={
                "trials": len(found.trials),
                "stopped_early": pruned,
                "loss": found.loss,
                "rows": found.rows,
                "searched_on": found.scope,
                "candidate": dg.MetadataValue.json(found.candidate),
                "journal": str(journal),
                "best_trials": dg.MetadataValue.md(search_report.trial_table(found)),
                "history": embed(lambda axes: search_report.draw_history(axes, found)),
                "importance": embed(lambda axes: search_report.draw_importance(axes, found)),
            },
        )

    return [hyperparameter_search]
