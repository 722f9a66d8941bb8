"""The search for hyperparameters: seeded, pruned over folds, stored as it goes, and counted trial by trial.

A trial is one set of parameters, fitted on purged walk-forward folds; it is stopped after a fold when it does worse
there than half of the trials before it. By default only the rows before the study's first test block are searched, so
that the study's figures stay those of rows nobody has chosen anything on. The store is a journal file: a search that
was killed goes on with the trial it was at, and ends where it would have ended. (A database would need a server, or
SQLite, which is no safer here and slower.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.configuration.candidates import Choices, Search
from fx_assets.evaluation import splits
from fx_assets.evaluation.deflated import sharpe
from fx_assets.evaluation.spec import Folding, Ledger, StudySpec, plain_candidate
from fx_assets.evaluation.tested import Tested, prepared
from fx_assets.evaluation.training import fold_loss, predict_folds
from fx_assets.evaluation.trials import Entry, candidate_identity
from fx_assets.lake import Lake

if TYPE_CHECKING:
    import optuna

NAME = "searched"
TABLE = "hyperparameter_search"
FOLDS = 4
# Trials drawn at random before their outcomes guide the next ones, and before any is stopped early.
STARTUP = 8
SEED_STEP = 7919
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """candidate: the best parameters as a candidate called "searched". trials: one dict for each finished trial, in
    order: number, state ("complete" or "pruned"), loss (None where pruned), folds, sharpe (per day; None where pruned),
    candidate. importance: share of each parameter in what made losses differ. rows: how many were searched on; scope:
    "untested" or "all".
    """

    candidate: dict[str, Any]
    loss: float
    trials: list[dict[str, Any]]
    importance: dict[str, float]
    rows: int
    scope: str

    def entries(self, spec: StudySpec) -> list[Entry]:
        """The trials for the ledger."""
        return [
            Entry(candidate_identity(tried, spec), "search", f"trial {trial['number']}", trial["sharpe"], tried)
            for trial in self.trials
            for tried in [trial["candidate"]]
        ]


def run(frame: pd.DataFrame, spec: StudySpec, search: Search, journal: Path, progress: Progress | None = None) -> Found:
    """Search until the journal holds `search.trials` finished trials of exactly these rows and settings.

    frame, spec: as for the study. journal: the file the trials are stored in; made with its folder. A search that is
    complete there already is only read. The same rows and settings find the same, also after being killed.
    Raises ValueError where rows or parameters cannot be fitted.
    """
    rows, scope = _searched_rows(prepared(frame, spec), spec, search)
    folding = Folding("walk_forward", FOLDS, spec.validation.embargo_minutes)
    work = Tested(rows, spec, splits.folds(rows, folding))
    study = _open(journal, _identity(work, spec, search))
    while len(finished := _finished(study)) < search.trials:
        study.sampler = _sampler(spec.seed + SEED_STEP * len(finished))
        _try(study, work, search, progress)
    trials = [_plain(k, trial, search) for k, trial in enumerate(finished)]
    least = min((trial for trial in trials if trial["loss"] is not None), key=lambda t: (t["loss"], t["number"]))
    return Found(
        least["candidate"],
        least["loss"],
        trials,
        _importance(study, spec.seed),
        len(rows),
        scope,
    )


def best(lake: Lake, model: str, session: str) -> dict[str, Any] | None:
    """The candidate found by the newest search of a session up to this one; None where there was none."""
    folder = f"models/{model}/{TABLE}"
    found = [path for path in lake.store.list(folder) if path.endswith("/record.json")]
    before = [path for path in found if path.rsplit("/", 2)[-2].removeprefix("session=") <= session]
    if not before:
        return None
    return plain_candidate(msgspec.json.decode(lake.store.read(max(before)))["candidate"])


def _searched_rows(rows: pd.DataFrame, spec: StudySpec, search: Search) -> tuple[pd.DataFrame, str]:
    if search.rows == "all" or spec.validation.method != "walk_forward":
        return rows, "all"
    first = splits.folds(rows, spec.validation)[0]
    return rows.iloc[first.train].reset_index(drop=True), "untested"


def _identity(work: Tested, spec: StudySpec, search: Search) -> str:
    """The name of a search: of other rows or settings, it would be another one."""
    data = hashlib.sha256()
    for part in (work.data.x, work.data.y, work.data.w, work.data.start, work.data.end):
        data.update(np.ascontiguousarray(part).tobytes())
    # What else was tried on the model changes nothing here, and grows with every search.
    asked = msgspec.structs.replace(spec, candidates=(), ledger=Ledger())
    data.update(msgspec.json.encode(asked, order="sorted"))
    # How many trials are wanted does not matter: a longer search goes on where a shorter one ended.
    data.update(search.model_dump_json(exclude={"trials"}).encode())
    return data.hexdigest()[:20]


def _open(journal: Path, name: str) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    _cut_torn_line(journal)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=name,
        direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
        load_if_exists=True,
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # it was killed; it is made again
    return study


def _cut_torn_line(journal: Path) -> None:
    """Drop a line that was being written when its process was killed; the journal refuses to be read with it."""
    if journal.exists() and (content := journal.read_bytes()) and not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    """One sampler a trial, seeded by how many came before: what a killed search would have drawn next."""
    import optuna

    return optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed % 2**32)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sorted(found, key=lambda trial: trial.number)


def _try(study: optuna.Study, work: Tested, search: Search, progress: Progress | None) -> None:
    from optuna.trial import TrialState

    trial = study.ask()
    candidate = _candidate(search, {name: _draw(trial, name, space) for name, space in search.space.items()})
    losses: list[float] = []
    parts: list[np.ndarray] = []
    target = work.spec.target
    for k, fold in enumerate(work.cuts):
        found = predict_folds(
            work.data, work.spec, [candidate], [fold], on_fit=lambda n, _, made, k=k: work.keep(n, k, made)
        )
        parts += found[NAME]
        losses.append(fold_loss(work.data.y[fold.test], found[NAME][0], target))
        trial.report(float(np.mean(losses)), k)
        if k + 1 < len(work.cuts) and trial.should_prune():
            trial.set_user_attr("folds", k + 1)
            study.tell(trial, state=TrialState.PRUNED)
            break
    else:
        run = work.trade(work.whole(work.probabilities(NAME, parts)))
        trial.set_user_attr("folds", len(work.cuts))
        trial.set_user_attr("sharpe", sharpe(run.daily()))
        study.tell(trial, float(np.mean(losses)))
    if progress:
        ended = "" if len(losses) == len(work.cuts) else f", stopped after fold {len(losses)}"
        number = len(_finished(study))
        progress(f"trial {number}/{search.trials}: loss {np.mean(losses):.5g}{ended}; {candidate['params']}")


def _draw(trial: optuna.Trial, name: str, space: Any) -> float | int | str:
    if isinstance(space, Choices):
        chosen: Any = trial.suggest_categorical(name, list(space.choices))
        return chosen
    if space.whole:
        return trial.suggest_int(name, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(name, space.low, space.high, log=space.log)


def _candidate(search: Search, params: Mapping[str, Any]) -> dict[str, Any]:
    """`rounds` may be searched as well; it is the candidate's own key."""
    others = {name: value for name, value in params.items() if name != "rounds"}
    rounds = params.get("rounds", search.rounds)
    return plain_candidate({"name": NAME, "algorithm": search.algorithm, "rounds": rounds, "params": others})


def _plain(number: int, trial: optuna.trial.FrozenTrial, search: Search) -> dict[str, Any]:
    complete = trial.state.name == "COMPLETE"
    return {
        "number": number + 1,
        "state": trial.state.name.lower(),
        "loss": float(trial.value) if complete and trial.value is not None else None,
        "folds": trial.user_attrs["folds"],
        "sharpe": trial.user_attrs.get("sharpe"),
        "candidate": _candidate(search, trial.params),
    }


def _importance(study: optuna.Study, seed: int) -> dict[str, float]:
    """Share of each parameter in the variance of the loss (functional ANOVA); empty where it cannot be told.

    Source: Hutter, Hoos and Leyton-Brown (2014), "An Efficient Approach for Assessing Hyperparameter Importance".
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    try:
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    except (ValueError, RuntimeError):  # fewer than two finished trials, or all of one loss
        return {}
    return {name: float(share) for name, share in found.items()}
