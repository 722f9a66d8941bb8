"""The whole chain of a prediction or a model version, link by link."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Configuration
from fx_assets.inputs import BRONZE
from fx_assets.lake import Lake
from fx_assets.tables import Tables
from fx_assets.trace import model as models
from fx_assets.trace import prediction as predictions
from fx_assets.trace.bronze import bronze_link
from fx_assets.trace.link import Link, Trace
from fx_assets.trace.tables import layer_link, reach, recorded_link
from fx_serving.client.home import Stores

# (what is being verified, how many files of how many)
Progress = Callable[[str, int, int], None]


def trace(
    stores: Stores,
    lake: Lake,
    configuration: Configuration,
    subject: str,
    progress: Progress = lambda what, done, total: None,
) -> Trace:
    """Verify the chain of `subject`: the id of a prediction, or MODEL/VERSION (VERSION may be champion).

    The links are, in this order: prediction, slot and rollout, features (of a prediction only), model version,
    training set, gold partitions, gold, silver, bronze. Raises MissingData for a subject that is not there.
    """
    tables = Tables.of(configuration, lake)
    name, slash, version = subject.partition("/")
    links: list[Link] = []
    start: dict[str, set[str]] = {}
    if slash:
        record = models.version_of(stores, name, version)
    else:
        said = predictions.find(stores, subject)
        links += [predictions.prediction_link(stores, said), predictions.slot_link(stores, said)]
        row, session = predictions.row_link(lake, said, configuration.all_week)
        links.append(row)
        if session is not None:
            start[predictions.FEATURES] = {session}
        record = models.version_of(stores, said.model, said.version)
    links += [models.version_link(stores, record), models.training_link(stores, lake, record)]
    recorded, lost = models.recorded_gold(stores, record)
    gold = recorded_link(lake, recorded)
    links.append(Link(gold.name, gold.words, gold.facts, [*lost, *gold.problems]))
    for table, contents in recorded.items():
        start.setdefault(table, set()).update(contents)
    return Trace(subject, [*links, *_below(tables, lake, Bronze(lake.store), start, progress)])


def _below(
    tables: Tables, lake: Lake, bronze: Bronze, start: Mapping[str, set[str]], progress: Progress
) -> Sequence[Link]:
    """Gold, silver and bronze below some gold partitions."""
    lineage, inputs = tables.lineage(bronze), tables.inputs
    needed = reach(inputs, tables.keys(), start)
    total, done = sum(len(keys) for table, keys in needed.items() if not table.startswith(BRONZE)), 0

    def step(what: str, total: int) -> Callable[[int], None]:
        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(what, done, total)

        return count

    links = [layer_link(lake, lineage, inputs, layer, needed, step("tables", total)) for layer in ("gold", "silver")]
    fetched = {table: keys for table, keys in needed.items() if table.startswith(BRONZE)}
    done = 0
    return [*links, bronze_link(bronze, fetched, tables.instruments, step("bronze files", 0))]
