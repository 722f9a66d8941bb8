"""The sections of a model card, from the verdict to the lineage: which figures stand where, beside which picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fx_assets.evaluation.gates import NO_CHAMPION
from fx_assets.models import card_plots as plots
from fx_assets.models import card_words as words
from fx_assets.models.card_page import Bullets, Page, Picture, Section, Table, Text
from fx_assets.models.report import (
    candidate_rows,
    fold_rows,
    honest_sentence,
    naive_rows,
    number,
    summary_rows,
    with_interval,
)

if TYPE_CHECKING:
    from fx_assets.models.card import CardContent


def page_of(content: CardContent) -> Page:
    """The whole page: the head, and every section in its order."""
    figures, verdict = content.evidence, content.verdict
    trades = figures["backtest"]
    missed = verdict["missed"]
    approved = "approved" if verdict["approved"] else "rejected"
    count = len(verdict["gates"])
    outcome = f"All {count} gates were passed." if not missed else f"{len(missed)} of {count} gates were missed."
    return Page(
        title=f"{content.model}, version {content.version}",
        subtitle=f"{content.label.name.replace('_', ' ')}, trained for session {content.session}, "
        f"judged by the profile {content.profile}",
        badge=approved,
        good=verdict["approved"],
        lead=f"{outcome} {honest_sentence(figures.get('naive') or {})}",
        tiles=(
            _tile("AUC", figures["auc"], ".4f", "95 % interval"),
            _tile("above the best naive", figures["auc_vs_baseline"], "+.4f", plots.words(figures["baseline"])),
            _tile("calibration error", figures["ece"], ".4f", "ten bins"),
            _tile("Sharpe after costs", trades["sharpe_net"], ".2f", f"{trades['trades']:,} trades"),
            ("worst fold", number(figures["worst_fold"]["auc"]), f"AUC, from {figures['worst_fold']['start'][:10]}"),
            ("rows out of fold", f"{figures['n']:,}", f"{number(figures['n_effective'], ',.0f')} effective"),
        ),
        sections=(
            _glance(content),
            _verdict(content),
            _purpose(content),
            _forecast(content),
            _inputs(content),
            _trading(content),
            _champion(content),
            Section("Limits", [Bullets(words.limits(content.label, figures))]),
            _origin(content),
        ),
    )


def _tile(name: str, figure: Mapping[str, float | None], form: str, small: str) -> tuple[str, str, str]:
    low, high = figure.get("low"), figure.get("high")
    between = "" if low is None or low != low else f"{number(low, form)} to {number(high, form)}, "
    return name, number(figure["value"], form), between + small


def _glance(content: CardContent) -> Section:
    naive = plots.words(content.evidence["baseline"])
    return Section(
        "At a glance",
        [
            Picture("folds", "AUC of every fold", f"The model beside {naive}, both fitted on what came before."),
            Picture(
                "naive", "Above the naive forecasts", "Paired on the same days; the red line is what is asked for."
            ),
        ],
    )


def _verdict(content: CardContent) -> Section:
    rows = [
        [
            gate["name"],
            "-" if gate["reason"] == NO_CHAMPION else _short(gate["value"]),
            f"{gate['op']} {gate['threshold']:.4g}",
            "pass" if gate["passed"] else "miss",
            # Value and threshold stand beside it.
            re.sub(r"^\S+ (meets|misses) \S+ \S+: ", "", gate["reason"]),
        ]
        for gate in content.verdict["gates"]
    ]
    said = "Every gate must be passed. A missed one rejects the version: it keeps this card, and is not served."
    return Section("Verdict", [Text(said), Table(("gate", "value", "needed", "outcome", "reason"), rows)])


def _short(value: float | None) -> str:
    large = value is not None and abs(value) >= 1000
    return number(value, ",.0f" if large else ".4g")


def _purpose(content: CardContent) -> Section:
    facts = [
        ["instruments", ", ".join(content.instruments)],
        ["training rows", f"{content.rows:,}"],
        ["data window", f"{content.first_decision[:16]} to {content.last_label_end[:16]} UTC (last label's end)"],
        ["features", f"{content.features}"],
        ["candidate chosen", words.candidate(content.chosen)],
        ["gate profile", content.profile],
    ]
    blocks = [Text(content.description)] if content.description else []
    return Section(
        "Intended use, label and data",
        [
            *blocks,
            Text(f"**Use.** {words.use(content.label)}"),
            Text(f"**Not for.** {words.NOT_FOR}"),
            Text(f"**Label.** {words.definition(content.label)}"),
            Table(("what", "of this version"), facts),
        ],
    )


def _forecast(content: CardContent) -> Section:
    figures = content.evidence
    naive = plots.words(figures["baseline"])
    return Section(
        "What it knows",
        [
            Picture("roc", "ROC", f"Over all rows out of fold; the further above {naive}, the more it knows."),
            Picture("lift", "Lift", "What happened in each tenth of the rows, the least expected first."),
            Picture("calibration", "Calibration", "On the line, a stated 60 % happens in 60 % of the cases."),
            Picture("distribution", "Predictions", "How far apart the model tells the two outcomes."),
            Table(*fold_rows(figures)),
            *(Text(said) for said in words.repeated(figures)),
            Table(*naive_rows(figures, figures.get("naive") or {})),
            Text("Every candidate on the same folds; the lowest log loss is taken, and all of them count as trials."),
            Table(*candidate_rows(figures)),
        ],
    )


def _inputs(content: CardContent) -> Section:
    return Section(
        "What it leans on",
        [
            Text(words.MEASURED[content.ranked_by] if content.shap else words.MEASURED["gain"]),
            Picture("importance", "Most important features", "Shares of the whole; the rest is spread thinner."),
            Picture("contributions", "SHAP summary", "One point for each row: what the feature added, by its value."),
        ],
    )


def _trading(content: CardContent) -> Section:
    trades = content.evidence["backtest"]
    return Section(
        "What acting on it would have brought",
        [
            Text(words.traded(content.label, trades)),
            Picture("equity", "Equity", "Sum of daily returns on equal shares of the capital."),
            Picture("costs", "Cost sensitivity", "The same trades at other multiples of the assumed cost."),
            Table(*summary_rows(content.evidence)),
        ],
    )


def _champion(content: CardContent) -> Section:
    found = content.evidence.get("champion")
    if not found:
        return Section("Against the champion", [Text("There was no champion when this version was judged.")])
    same = found["same_rows"]
    paired = (
        f"AUC {with_interval(same['auc'], '+.4f')}, log loss {with_interval(same['loss'], '+.5f')}; paired test by day "
        f"p = {number(same['loss']['p_value'], '.3f')} over {same['days']} days."
        if same["conclusive"]
        else "too few rows to tell the two apart."
    )
    alike = found["importance"]
    rows = [
        [name, number(d["before"]), number(d["after"]), with_interval(d, "+.4f")]
        for name, d in found["regression"].items()
    ]
    came, went = (", ".join(f"`{name}`" for name in alike[key]) or "none" for key in ("came", "went"))
    return Section(
        "Against the champion",
        [
            Text(
                f"The champion is version {found['version']} of session {found['session']}. On the {same['rows']:,} "
                f"rows decided since then, which it was not trained on, this version minus the champion: {paired}"
            ),
            Text(
                f"Of the champion's 20 most important features {number(alike['overlap'], '.0%')} are among the 20 of "
                f"this version (rank correlation {number(alike['spearman'], '.2f')}). New among the first ten: {came}; "
                f"gone from them: {went}."
            ),
            Text("Figures as registered; each study has rows of its own, so the interval is that of both."),
            Table(("figure", "champion", "this version", "difference"), rows),
        ],
    )


def _origin(content: CardContent) -> Section:
    rows = [[key, f"`{value}`"] for key, value in sorted(content.lineage.items()) if value]
    blocks: list[Any] = [Table(("lineage", "value"), rows)] if rows else []
    latency = content.evidence.get("latency")
    if latency:
        blocks.append(
            Text(
                f"One row of the exported model ({latency['engine']}, {latency.get('bytes', 0) / 1024:,.0f} kB) took "
                f"{latency['cpu_p50_us']:.0f} microseconds of processor time, 99 of 100 at most "
                f"{latency['cpu_p99_us']:.0f}; measured where the model was judged."
            )
        )
    said = f"`fx models reproduce {content.model}/{content.version}` makes the model and every figure again."
    return Section("Origin", [*blocks, Text(said)])
