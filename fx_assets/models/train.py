"""Training one model for one session: the study over candidates, the final fit, and the registered version.

A version appears in the registry whole: its artifacts are written first, and one call then makes it with all its
tags. A process killed before that leaves files that nothing points to; one killed after it, a version that is
complete and undecided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.evaluation.spec import StudySpec
from fx_assets.evaluation.study import Study, evaluate
from fx_assets.lake import Lake
from fx_assets.lineage import CODE_VERSION
from fx_assets.models import registry, spec_file
from fx_assets.models.spec_file import Spec
from fx_assets.models.training_set import Origin
from fx_assets.partition_file import encode_frame
from fx_assets.schemas import model_features
from fx_assets.sessions import session_bounds
from fx_serving.client.clock import to_iso

if TYPE_CHECKING:
    from fx_assets.evaluation.predictor import Predictor

PIP_REQUIREMENTS = ["xgboost>=3.1,<3.3", "lightgbm", "catboost", "numpy", "pandas", "msgspec"]
LOADER = "fx_assets.models.flavor"
THREADS = 2


def half_spreads(configuration: Configuration, rows: pd.DataFrame, lake: Lake, session: str) -> dict[str, float]:
    """Half the typical spread relative to the median price of the training set's period, by instrument.

    It is the cost of one change of position by one, where no spread was recorded.
    """
    spreads = {symbol: i.typical_spread for symbol, i in configuration.instruments.instruments.items()}
    # Not the session itself: it may or may not be there yet, and nothing of it may matter.
    first, start = rows["time"].min(), session_bounds(session)[0]
    closes = lake.table("silver/candles", first, start, columns=["instrument", "close"])
    medians = closes.groupby("instrument")["close"].median()
    return {symbol: spreads[symbol] / float(medians[symbol]) / 2 for symbol in rows["instrument"].unique()}


def study_spec(configuration: Configuration, model: str, session: str, rows: pd.DataFrame, lake: Lake) -> StudySpec:
    """What the study of one session is asked to do: the entry, the costs of its period, and the trials made before.

    rows: the training set.
    """
    from fx_assets.evaluation import trials
    from fx_assets.strategy.recorded import study_costs

    entry = configuration.models.models[model]
    found = _searched(lake, model, session) if entry.search else None
    names = [name for name, _ in model_features(configuration, model)]
    spec = StudySpec.for_model(
        entry,
        names,
        half_spreads(configuration, rows, lake, session),
        costs=study_costs(lake, configuration, rows, session),
        extra_candidates=[] if found is None else [found],
        nthread=THREADS,
    )
    return trials.with_ledger(spec, lake, model, session)


def _searched(lake: Lake, model: str, session: str) -> dict[str, Any] | None:
    """What the newest search of the model found by the session; None where none was made yet."""
    from fx_assets.models import search

    return search.best(lake, model, session)


def study(rows: pd.DataFrame, spec: StudySpec, progress: Callable[[str], None] | None = None) -> Study:
    """Every candidate through the same purged folds, with the canaries: see evaluation.study.evaluate."""
    return evaluate(rows, spec, progress)


def keep_study(lake: Lake, model: str, session: str, spec: StudySpec, found: Study) -> None:
    """Write a study's tables beside its record: rows out of fold, daily returns, trades, and its trials."""
    from fx_assets.evaluation import trials

    tables = {"out_of_fold": found.predictions, "daily": found.daily, "trades": found.trades}
    for name, frame in tables.items():
        lake.write(f"models/{model}/{name}", {session: frame})
    trials.add(lake, model, session, trials.of_study(spec, found.daily_net))


def fit(rows: pd.DataFrame, chosen: Mapping[str, Any], spec: StudySpec) -> Predictor:
    """The chosen candidate on the whole training set; the same rows and spec give the same bytes."""
    from fx_assets.evaluation.training import fit_predictor

    return fit_predictor(rows, chosen, spec)


def fit_and_log(
    tracker: Any,
    configuration: Configuration,
    model: str,
    session: str,
    rows: pd.DataFrame,
    found: Mapping[str, Any],
    predictions: pd.DataFrame,
    origin: Origin,
    dagster_run_id: str,
) -> dict[str, Any]:
    """Fit the chosen candidate on all rows, log it to a nested MLflow run, register it as challenger.

    tracker: dagster-mlflow's resource, or the mlflow module. found: what the study found: "chosen", "figures" and
    "spec" (StudySpec as builtins); predictions: its rows out of fold. origin: what these very rows were made of.
    Returns the record that later steps start from: model, session, mlflow_run_id, version, chosen, hashes, rows.
    """
    asked = msgspec.convert(found["spec"], StudySpec)
    predictor = fit(rows, found["chosen"], asked)
    raw = predictor.save()
    spec = spec_of(configuration, model, session, found["chosen"], asked)
    files = {
        registry.SPEC: spec_file.save(spec),
        registry.GOLD: origin.gold_file(),
        registry.ROWS: encode_frame(rows),
        registry.FIGURES: msgspec.json.format(msgspec.json.encode(found["figures"]), indent=1),
        registry.OUT_OF_FOLD: encode_frame(predictions),
    }
    tags = {
        "session": session,
        "code_version": CODE_VERSION,
        "training_set_hash": origin.training_set_hash,
        "gold_hash": origin.gold_hash,
        "feature_schema_hash": spec.schema_hash,
        "config_hash": spec.config_hash,
        "model_sha256": hashlib.sha256(raw).hexdigest(),
        # Of the library's own model alone, which is what a bundle's model.ubj holds.
        "booster_sha256": hashlib.sha256(b"".join(member.save() for member in predictor.members)).hexdigest(),
        "spec_sha256": hashlib.sha256(files[registry.SPEC]).hexdigest(),
        "feature_service": origin.feature_service,
        "dagster_run_id": dagster_run_id,
        "expires_at": _expiry(session, spec.expires_days),
    }
    run_id, version = _register(tracker, spec, rows, predictor, raw, found["figures"], files, tags)
    return {
        "model": model,
        "session": session,
        "chosen": found["chosen"],
        "rows": len(rows),
        "first_decision": rows["decision_time"].min().isoformat(),
        "last_label_end": rows["label_end"].max().isoformat(),
        **{name: tags[name] for name in ("training_set_hash", "booster_sha256", "model_sha256", "spec_sha256")},
        "gold_hash": tags["gold_hash"],
        "expires_at": tags["expires_at"] or None,
        "version": version,
        "mlflow_run_id": run_id,
    }


def spec_of(
    configuration: Configuration, model: str, session: str, chosen: Mapping[str, Any], study: StudySpec
) -> Spec:
    """All that a version is made with beside its rows."""
    entry = configuration.models.models[model]
    return Spec(
        model=model,
        session=session,
        label=entry.label.model_dump(mode="json"),
        instruments=list(configuration.model_instruments(model)),
        features=model_features(configuration, model),
        chosen=dict(chosen),
        study=study,
        gates=entry.gates,
        expires_days=entry.expires_days,
        config_hash=spec_file.config_hash(configuration, model),
        code_version=CODE_VERSION,
        python=spec_file.python(),
        packages=spec_file.installed(),
    )


def _register(
    tracker: Any,
    spec: Spec,
    rows: pd.DataFrame,
    predictor: Predictor,
    raw: bytes,
    figures: Mapping[str, Any],
    files: Mapping[str, bytes],
    tags: Mapping[str, str],
) -> tuple[str, str]:
    """Everything into a run, then the version; returns the run's id and the version.

    Files go to their place at once, which is a folder of the home (tracking.prepare): a training set is large, and the
    client would copy it there from somewhere else.
    """
    import mlflow
    from mlflow.tracking import MlflowClient

    chosen, client = spec.chosen, MlflowClient()
    with tracker.start_run(run_name=f"{spec.model} {spec.session}", nested=True) as run:
        told = {"candidate": chosen["name"], **{k: chosen[k] for k in chosen if k not in ("name", "params")}}
        counts = {"session": spec.session, "rows": len(rows), "features": len(spec.names), "seed": spec.study.seed}
        mlflow.log_params({**told, **chosen["params"], **counts})
        mlflow.log_metrics(dict(flat_numbers(figures)))
        folder = registry.folder_of(run.info.artifact_uri)
        described = _mlmodel(spec, rows.head(3), predictor, run.info.run_id)
        for name, content in {**files, f"model/{registry.MODEL}": raw, **described}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _ensure_registered(client, spec.model)
        made = client.create_model_version(spec.model, f"{run.info.artifact_uri}/model", run.info.run_id, dict(tags))
        version = str(made.version)
        client.set_registered_model_alias(spec.model, registry.CHALLENGER, version)
        return run.info.run_id, version


def _mlmodel(spec: Spec, example: pd.DataFrame, predictor: Predictor, run_id: str) -> dict[str, bytes]:
    """The files by which MLflow knows a model, for the loader in flavor.py; by path below the run's artifacts."""
    from mlflow.models import Model, infer_signature
    from mlflow.pyfunc import add_to_model

    inputs = example[spec.names]
    signature = infer_signature(inputs, predictor.predict(inputs.to_numpy("float32")))
    model = Model(artifact_path="model", run_id=run_id, signature=signature)
    add_to_model(model, loader_module=LOADER, data=registry.MODEL)
    needed = "".join(f"{line}\n" for line in PIP_REQUIREMENTS)
    return {"model/MLmodel": model.to_yaml().encode(), "model/requirements.txt": needed.encode()}


def _ensure_registered(client: Any, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _expiry(session: str, days: int | None) -> str:
    """When a model that saw nothing after the session's start is too old; empty for never."""
    return "" if days is None else to_iso(session_bounds(session)[0] + timedelta(days=days))


def flat_numbers(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Every number of nested figures under a dotted name, as MLflow wants metrics; lists are left to the artifact."""
    found: list[tuple[str, float]] = []
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += flat_numbers(value, f"{name}.")
        elif isinstance(value, int | float) and value == value:
            found.append((name, float(value)))
    return found
