"""One study of one entry of models.yaml on rows made of files: figures, canaries, gates and the honest sentence.

The same study as in the platform (evaluation/study.py, evaluation/canaries.py, the gate profiles), without registry,
champion and latency, which only a registered model has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import pandas as pd

from fx_assets.configuration import Gate, Model
from fx_assets.errors import DataError
from fx_assets.evaluation import canaries
from fx_assets.evaluation.gates import judge
from fx_assets.evaluation.spec import StudySpec
from fx_assets.evaluation.study import Study, evaluate
from fx_assets.models.comparison import versus_naive
from fx_assets.models.report import PERSISTENCE, honest_sentence, number, with_interval

THREADS = 2
# Evidence that only a registered model has: its gates are left out.
_REGISTERED = ("champion.", "latency.")


@dataclass(frozen=True)
class Outcome:
    """What was found. verdict: {approved, missed, gates}; naive: AUC above each naive forecast {value, low, high};
    sentences: what may honestly be said, the first one about the label's own question.
    """

    name: str
    entry: Model
    spec: StudySpec
    study: Study
    verdict: Mapping[str, Any]
    naive: Mapping[str, Mapping[str, float]]
    sentences: Sequence[str]


def spec_of(
    entry: Model, names: Sequence[str], typical: Mapping[str, float], recorded: pd.DataFrame, folds: int = 0
) -> StudySpec:
    """The study that an entry of models.yaml asks for. folds: another number of folds; 0 for the entry's own."""
    spec = StudySpec.for_model(entry, names, typical, recorded, nthread=THREADS)
    if not folds:
        return spec
    return msgspec.structs.replace(spec, validation=msgspec.structs.replace(spec.validation, folds=folds))


def steps(spec: StudySpec) -> int:
    """How often `run` reports progress, about."""
    count = spec.validation.folds * (len(spec.candidates) + spec.validation.seeds - 1)
    return count + len(canaries.CANARIES)


def run(
    name: str,
    entry: Model,
    rows: pd.DataFrame,
    spec: StudySpec,
    profile: Sequence[Gate],
    progress: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Study, canaries, gates. rows: as study_files.training_rows gives them. profile: the gates of the entry.

    Raises DataError where the rows cannot be cut into the folds that the entry asks for.
    """
    try:
        found = evaluate(rows, spec, progress)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None
    figures = found.figures
    naive = versus_naive(found.predictions, list(figures["baselines"]), spec.seed)
    asked = [gate.model_dump() for gate in profile if not gate.figure.startswith(_REGISTERED)]
    results = [*judge(asked, figures), *canaries.canary_gates(figures)]
    missed = [result.name for result in results if not result.passed]
    missed += ["folds_audited"] if found.fold_problems else []
    verdict = {"approved": not missed, "missed": missed, "gates": [asdict(result) for result in results]}
    return Outcome(name, entry, spec, found, verdict, naive, sentences(entry, figures, naive, verdict))


def sentences(
    entry: Model,
    figures: Mapping[str, Any],
    naive: Mapping[str, Mapping[str, float]],
    verdict: Mapping[str, Any],
) -> list[str]:
    """What may be said of it: against the naive forecasts, of its accuracy, of money, of the gates."""
    said = []
    if set(PERSISTENCE) <= set(naive):
        said.append(honest_sentence(naive))
    traded = figures["backtest"]
    said.append(f"Accuracy {with_interval(figures['accuracy'])}, AUC {with_interval(figures['auc'])}, out of fold.")
    money = "earns" if traded["net_return"] > 0 else "loses"
    acted = "Acting on it"
    if entry.label.kind == "large_move":
        acted = "It does not say which way; following the last bar's direction where it expects a large move"
    said.append(
        f"{acted} {money} {abs(traded['net_return']):.2%} of a constant stake after costs in {traded['days']:,} days "
        f"({traded['gross_return']:+.2%} before them), net Sharpe ratio {with_interval(traded['sharpe_net'], '.2f')}."
    )
    if verdict["approved"]:
        said.append(f"The gates of the profile `{entry.gates}` are all passed.")
    else:
        said.append(f"The gates of the profile `{entry.gates}` reject it: it misses {', '.join(verdict['missed'])}.")
    return said


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything that was found, as plain values; NaN becomes null when it is encoded."""
    return {
        "label": outcome.entry.label.name,
        "profile": outcome.entry.gates,
        "sentences": list(outcome.sentences),
        "verdict": dict(outcome.verdict),
        "naive": {name: dict(found) for name, found in outcome.naive.items()},
        "chosen": outcome.study.chosen,
        "figures": outcome.study.figures,
        "spec": msgspec.to_builtins(outcome.spec),
    }


def headline(outcome: Outcome) -> str:
    """One line for the terminal."""
    figures = outcome.study.figures
    return (
        f"{outcome.name}: AUC {with_interval(figures['auc'])}, best naive {figures['baseline']} "
        f"{number(figures['baselines'][figures['baseline']]['auc'])}, "
        f"{'approved' if outcome.verdict['approved'] else 'rejected'} by {outcome.entry.gates}"
    )
