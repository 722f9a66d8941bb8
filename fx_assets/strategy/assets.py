"""threshold_sweep and strategy_optimization of each model: what its study's forecasts would have earned.

Both trade the out-of-fold forecasts of the same session's model_study, as late and at the swap that the study does,
at the costs of the newest month before the session (the study's own where no month was made). Neither changes what
is served: a person reads them and edits models.yaml (strategy.threshold), and the next study is judged with that.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import msgspec

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.evaluation import costs, trials
from fx_assets.evaluation.backtest import Run
from fx_assets.evaluation.deflated import sharpe
from fx_assets.evaluation.spec import StudySpec
from fx_assets.lake import Lake
from fx_assets.models.assets.shared import Group
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.strategy import cost_assets, recorded, report, rules
from fx_assets.strategy.rules import Market, Rule
from fx_assets.tables import Tables, define_asset

STEPS = ("threshold_sweep", "strategy_optimization")
SOURCE = "strategy"  # of trials, in the ledger


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """transaction_costs, and the two assets of every model."""
    groups = [Group.of(tables, configuration, model) for model in configuration.models.models]
    return [
        cost_assets.build(configuration),
        *(made for group in groups for made in (_threshold_sweep(group), _strategy_optimization(group))),
    ]


def grid(group: Group, sizings: Sequence[str]) -> list[Rule]:
    """The rules to try: every threshold with every sizing; the one in use first, so that it wins a tie."""
    strategy = group.entry.strategy
    tried = {Rule(threshold, sizing) for sizing in sizings for threshold in strategy.thresholds}
    used = Rule(strategy.threshold)
    return [used, *sorted(tried - {used}, key=lambda rule: (rule.sizing, rule.threshold))]


def _threshold_sweep(group: Group) -> dg.AssetsDefinition:
    @define_asset(
        ins={"study": group.upstream("model_study")},
        **group.common(
            "threshold_sweep",
            {"python"},
            "What each threshold would have earned after costs, on the study's out-of-fold forecasts.",
        ),
        **group.checks(
            "threshold_sweep", ("earns_its_costs", "The threshold in use earned more than its trading cost.", False)
        ),
    )
    def threshold_sweep(context: dg.AssetExecutionContext, home: HomeResource, study: dict):
        session = context.partition_key
        market = _market(home.lake, group, study, session)
        runs = rules.trade(market, grid(group, ["unit"]))
        _count(home.lake, group, session, "threshold_sweep", runs)
        tried = rules.figures(runs, market.cost_source, group.entry.seed)
        used, ordered = tried[0], sorted(tried, key=lambda rule: rule["threshold"])
        return dg.MaterializeResult(
            value={"model": group.model, "session": session, "cost_source": market.cost_source, "rules": ordered},
            metadata={
                "cost_source": market.cost_source,
                "threshold_in_use": used["threshold"],
                "thresholds": dg.MetadataValue.md(report.rule_table(ordered)),
                "returns": embed(lambda axes: report.draw_thresholds(axes, ordered)),
                "sharpe": embed(lambda axes: report.draw_sharpe(axes, ordered)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="earns_its_costs",
                    passed=used["net_return"] > 0,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={
                        "rule": used["name"],
                        "gross_return": used["gross_return"],
                        "net_return": used["net_return"],
                        "trades": used["trades"],
                    },
                )
            ],
        )

    return threshold_sweep


def _strategy_optimization(group: Group) -> dg.AssetsDefinition:
    entry = group.entry

    @define_asset(
        ins={"study": group.upstream("model_study")},
        **group.common(
            "strategy_optimization",
            {"python"},
            "Every threshold with every sizing, and how much of the best one is luck. Its trials are counted.",
        ),
        **group.checks(
            "strategy_optimization",
            (
                "holds_later",
                "Rules chosen on earlier days beat the one in use on later ones, or that is the best.",
                False,
            ),
        ),
    )
    def strategy_optimization(context: dg.AssetExecutionContext, home: HomeResource, study: dict):
        session = context.partition_key
        market = _market(home.lake, group, study, session)
        tried = grid(group, entry.strategy.sizing)
        runs = rules.trade(market, tried)
        entries = _count(home.lake, group, session, "strategy_optimization", runs)
        before = trials.load(home.lake, group.model, session, without=[made.id for made in entries])
        found = rules.optimize(runs, tried[0], before.sharpes, before.count, entry.seed)
        told = rules.figures(runs, market.cost_source, entry.seed)
        daily = rules.daily_returns(runs)
        best = sorted(told, key=lambda rule: -rule["sharpe_net"]["value"])
        return dg.MaterializeResult(
            value={
                "model": group.model,
                "session": session,
                "cost_source": market.cost_source,
                "rules": told,
                **found,
                "advice": report.advice(found),
            },
            metadata={
                "advice": dg.MetadataValue.md(report.advice(found)),
                "cost_source": market.cost_source,
                "best": found["best"],
                "trials": found["trials"],
                "rules": dg.MetadataValue.md(report.rule_table(best)),
                "choices": dg.MetadataValue.md(report.choice_table(found["choices"])),
                "sharpe": embed(lambda axes: report.draw_sharpe(axes, told)),
                "best_and_in_use": embed(
                    lambda axes: report.draw_daily(axes, daily, [found["best"], found["default"]])
                ),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="holds_later",
                    passed=found["better"] or found["best"] == found["default"],
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"best": found["best"], "in_use": found["default"], "advice": report.advice(found)},
                )
            ],
        )

    return strategy_optimization


def _market(lake: Lake, group: Group, study: dict[str, Any], session: str) -> Market:
    """The study's out-of-fold rows, traded as the study traded them but at the newest costs."""
    spec = msgspec.convert(study["spec"], StudySpec)
    table = f"models/{group.model}/out_of_fold"
    rows = lake.read(table, [session]).get(session)
    if rows is None:
        raise MissingData(f"{table}: no file for session {session}. Materialize model_study again.")
    own = costs.with_typical(spec.costs_table(), spec.typical)
    charged, source = recorded.current_costs(lake, session, own)
    return Market.of(rows, spec.label_kind, charged, spec.latency_bars, spec.swap_per_day, source)


def _count(lake: Lake, group: Group, session: str, step: str, runs: dict[Rule, Run]) -> list[trials.Entry]:
    """Put the rules into the model's ledger of trials. A rule that was tried before is not counted again."""
    entries = [
        trials.Entry(
            id=trials.identity(SOURCE, label=group.entry.label.column, threshold=rule.threshold, sizing=rule.sizing),
            source=SOURCE,
            name=rule.name,
            sharpe=sharpe(run.daily()),
            detail={"step": step, "threshold": rule.threshold, "sizing": rule.sizing},
        )
        for rule, run in runs.items()
    ]
    trials.add(lake, group.model, session, entries)
    return entries
