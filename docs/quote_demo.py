"""Quotes a demo's figures in README.md and evaluation.md, and keeps its summary beside them.

    python docs/quote_demo.py .fx/demo/demo/summary.json

Replaces what stands between `<!-- demo:NAME -->` and `<!-- /demo -->` by what BLOCKS writes, and stores the summary in
docs/demo-summary.json. Without an argument it quotes the stored one. A test holds the documents against it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
STORED = DOCS / "demo-summary.json"
DOCUMENTS = (DOCS.parent / "README.md", DOCS / "evaluation.md")
BLOCK = re.compile(r"<!-- demo:(\w+) -->\n.*?<!-- /demo -->", re.DOTALL)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def stated(figure: Mapping[str, float | None], digits: int = 3) -> str:
    """A figure with its interval; 0.000 is never -0.000."""
    texts = ["none" if figure[key] is None else f"{figure[key]:.{digits}f}" for key in ("value", "low", "high")]
    value, low, high = (text.lstrip("-") if text.strip("-0.") == "" else text for text in texts)
    return f"{value} [{low}, {high}]"


def newest(summary: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The last model of a label kind."""
    return [m for m in summary["models"].values() if m["figures"]["label_kind"] == kind][-1]


def results(summary: Mapping[str, Any]) -> str:
    rows = []
    for model in summary["models"].values():
        found = model["figures"]
        rows.append(
            (
                f"`{model['model']}`, {model['session']}",
                f"{found['n']:,}",
                stated(found["auc"]),
                stated(found["auc_vs_baseline"]),
                stated(found["accuracy"]),
                stated(found["backtest"]["sharpe_net"], 1),
                "approved" if model["approved"] else "rejected",
            )
        )
    head = ("model, session", "rows", "AUC", "AUC above best naive forecast", "accuracy", "Sharpe ratio after spread")
    return table((*head, "verdict"), rows)


def details(summary: Mapping[str, Any]) -> str:
    """The figures that the prose of the README is about."""
    move, direction = newest(summary, "large_move"), newest(summary, "direction")
    above = sum(fold["auc"] > fold["baseline_auc"] for fold in move["figures"]["folds"])
    traded = direction["figures"]["backtest"]
    rows = [
        ("`move_60m`: folds with an AUC above the naive forecast", f"{above} of {len(move['figures']['folds'])}"),
        ("`move_60m`: expected calibration error", stated(move["figures"]["ece"])),
        ("`direction_60m`: Sharpe ratio before the spread", stated(traded["sharpe_gross"], 1)),
        ("`direction_60m`: Sharpe ratio after the spread", stated(traded["sharpe_net"], 1)),
        ("`direction_60m`: gates missed", ", ".join(f"`{name}`" for name in direction["missed"]) or "none"),
    ]
    return table(("figure", "value"), rows)


def measured(summary: Mapping[str, Any]) -> str:
    seconds, live = summary["seconds"], summary["traffic"]["during_rollout"]
    before, after = summary["drift"]["before"], summary["drift"]["after"]
    partitions = summary["data"]["sessions_materialized"] * len(summary["data"]["rows"])
    trips = f"round trip median {live['p50_ms']:.2f} ms, 99th percentile {live['p99_ms']:.2f} ms"
    rows = [
        (
            "whole demo",
            f"{seconds['total']:.0f} s, of which {seconds['tables']:.0f} s for {partitions:,} table partitions",
        ),
        ("peak memory, all processes together", f"{summary['peak_memory_mib']:,.0f} MiB (proportional set size)"),
        ("rollout under live traffic", f"{live['requests']:,} requests, {live['failed']} failed; {trips}"),
        (
            "largest drift index of the replayed traffic",
            f"{before['max_psi']:.3f} ({before['level']}) as trained, "
            f"{after['max_psi']:.2f} ({after['level']}) after the planted shock",
        ),
    ]
    return table(("what", "measured"), rows)


def gates(summary: Mapping[str, Any]) -> str:
    parts = []
    for model in (newest(summary, "large_move"), newest(summary, "direction")):
        rows = [
            (
                g["name"],
                "none" if g["value"] is None else f"{g['value']:.4g}",
                f"{g['op']} {g['threshold']:g}",
                "pass" if g["passed"] else "miss",
                g["reason"],
            )
            for g in model["gates"]
        ]
        # A reason is "value verdict needed: why"; the columns already say all but the why.
        rows = [(*row[:4], re.sub(r"^\S+ (?:meets|misses) \S+ \S+: ", "", row[4])) for row in rows]
        title = f"`{model['model']}`, session {model['session']}, profile `{model['gate_profile']}`:"
        parts.append(f"{title}\n\n{table(('gate', 'value', 'needed', 'outcome', 'why'), rows)}")
    return "\n\n".join(parts)


def folds(summary: Mapping[str, Any]) -> str:
    parts = []
    for model in summary["models"].values():
        rows = [
            (
                str(fold["fold"]),
                fold["start"][:10],
                fold["end"][:10],
                f"{fold['train_rows']:,}",
                f"{fold['test_rows']:,}",
                f"{fold['auc']:.4f}",
                f"{fold['baseline_auc']:.4f}",
                f"{fold['brier']:.4f}",
            )
            for fold in model["figures"]["folds"]
        ]
        title = f"`{model['model']}`, session {model['session']} (naive forecast `{model['figures']['baseline']}`):"
        head = ("fold", "from", "to", "trained on", "tested on", "AUC", "naive", "Brier")
        parts.append(f"{title}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def more(summary: Mapping[str, Any]) -> str:
    """What else the newest model of each kind shows."""
    models = [newest(summary, kind) for kind in ("large_move", "direction")]
    figures = [m["figures"] for m in models]
    rows: list[tuple[str, ...]] = [
        ("rows, effective rows", *(f"{f['n']:,}, {f['n_effective']:,.0f}" for f in figures)),
        ("base rate", *(f"{f['base_rate']:.4f}" for f in figures)),
        ("Brier score", *(stated(f["brier"], 4) for f in figures)),
        ("expected calibration error", *(stated(f["ece"], 4) for f in figures)),
        ("candidate chosen, trials", *(f"{f['chosen']}, {f['trials']}" for f in figures)),
        ("Sharpe ratio before the spread", *(stated(f["backtest"]["sharpe_gross"], 2) for f in figures)),
        ("Sharpe ratio after the spread", *(stated(f["backtest"]["sharpe_net"], 2) for f in figures)),
        ("net return at half the typical spread", *(f"{_at_half(f):.2%}" for f in figures)),
        ("net return at the typical spread", *(f"{f['backtest']['net_return']:.2%}" for f in figures)),
        ("position change per pair and day", *(f"{f['backtest']['turnover']:.1f}" for f in figures)),
        ("win rate, trades", *(f"{f['backtest']['win_rate']:.3f}, {f['backtest']['trades']:,}" for f in figures)),
        ("largest drawdown", *(f"{f['backtest']['max_drawdown']:.3f}" for f in figures)),
        ("deflated Sharpe ratio", *(f"{f['dsr']:.2g}" for f in figures)),
        ("probability of backtest overfitting", *(f"{f['pbo']:.3f}" for f in figures)),
        ("Sortino ratio after the spread", *(stated(f["backtest"]["sortino"], 2) for f in figures)),
        ("Sharpe ratio of the last 30 days", *(stated(f["backtest"]["last_30d"]["sharpe_net"], 2) for f in figures)),
        *(
            (f"canary `{name}`: AUC", *(stated(f["canaries"][name]) for f in figures))
            for name in figures[0]["canaries"]
        ),
    ]
    rows += [
        (
            f"AUC of the naive forecast `{name}`",
            *(f"{f['baselines'][name]['auc']:.3f}" if name in f["baselines"] else "" for f in figures),
        )
        for name in figures[0]["baselines"]
    ]
    return table(("figure", *(f"`{m['model']}`, {m['session']}" for m in models)), rows)


def _at_half(figures: Mapping[str, Any]) -> float:
    return figures["backtest"]["cost_sensitivity"]["0_5x"]["net_return"]


BLOCKS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    function.__name__: function for function in (results, details, measured, gates, folds, more)
}


def quoted(text: str, summary: Mapping[str, Any]) -> str:
    """A document with its blocks filled. KeyError for a block that nobody writes."""
    return BLOCK.sub(lambda m: f"<!-- demo:{m[1]} -->\n{BLOCKS[m[1]](summary)}\n<!-- /demo -->", text)


def portable(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary without the paths of the machine it was made on."""
    for report in summary["drift"].values():
        report["html"] = report["html"] and f"monitoring/reports/drift/{Path(report['html']).name}"
    return summary


def main() -> None:
    if len(sys.argv) > 1:
        summary = portable(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
        STORED.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    summary = json.loads(STORED.read_text(encoding="utf-8"))
    for path in DOCUMENTS:
        path.write_text(quoted(path.read_text(encoding="utf-8"), summary), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
