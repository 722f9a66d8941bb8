"""batch_predictions: the champions' answers for the newest gold rows, every half hour, without the service."""

import dagster as dg

from fx_assets.configuration import Configuration
from fx_assets.errors import StoreError
from fx_assets.models import batch
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import DATABASE
from fx_assets.tables import CODE_VERSION, OWNER, define_asset, transient
from fx_serving.client.clock import now, to_iso

NAME = "batch_predictions"
CHECK = "champions_answer"


def build(configuration: Configuration) -> list[dg.AssetsDefinition]:
    """One asset for all models that are deployed; none where no model is."""
    models = [name for name, entry in configuration.models.models.items() if entry.deploy]
    if not models:
        return []

    @define_asset(
        name=NAME,
        group_name="inference",
        description="What the champion of each deployed model says of the newest gold rows, by the service's own code.",
        deps=[
            dg.AssetDep(["gold", "features"], partition_mapping=dg.LastPartitionMapping()),
            *(dg.AssetDep([model, "model_bundle"], partition_mapping=dg.LastPartitionMapping()) for model in models),
        ],
        owners=[OWNER],
        tags={"layer": "inference"},
        kinds={"onnx", "parquet"},
        # Its files have one writer: each run reads what is there and adds to it.
        pool=DATABASE,
        code_version=CODE_VERSION,
        retry_policy=transient,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=NAME, description="Every champion answered for each of its instruments, or said why not."
            )
        ],
    )
    def batch_predictions(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        made, problems, new = [], [], 0
        for model in models:
            try:
                found = batch.predict(home.stores, home.lake, configuration, model, now())
            except StoreError as error:  # the other models' answers are not to be lost
                problems.append(f"{model}: {error}")
                continue
            new += batch.keep(home.lake, found, configuration.all_week)
            problems += [f"{model}, {symbol}: {reason}" for symbol, reason in found.refused.items()]
            made.append(found)
        for problem in problems:
            context.log.warning(problem)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(len(found.rows) for found in made),
                "new_rows": new,
                "champions": dg.MetadataValue.md(_champions(made)),
                "predictions": dg.MetadataValue.md(_answers(made)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not problems,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"problems": problems or ["none"]},
                )
            ],
        )

    return [batch_predictions]


def _champions(made: list[batch.Batch]) -> str:
    """Champion and served version may differ while a rollout runs, or where the last one was rolled back."""
    lines = [f"| {b.model} | {b.version or 'none yet'} | {b.served or 'none'} |" for b in made]
    return "\n".join(["| model | champion | served |", "| --- | --- | --- |", *lines])


def _answers(made: list[batch.Batch]) -> str:
    rows = [row for b in made for row in b.rows.to_dict("records")]
    lines = [
        f"| {r['model']} {r['version']} | {r['instrument']} | {to_iso(r['decision_time'])} | {r['prediction']:.4f} "
        f"| {r['label']} |"
        for r in rows
    ]
    return "\n".join(["| model | instrument | decision | prediction | label |", "| --- |" + " --- |" * 4, *lines])
