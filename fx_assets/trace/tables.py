"""Gold and silver partitions: what each states it was made of, and what lies there now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fx_assets.errors import DataError, StoreError
from fx_assets.inputs import BRONZE, TableInputs
from fx_assets.lake import Lake
from fx_assets.lineage import Lineage, neighbours
from fx_assets.schemas import content_hash
from fx_assets.trace.link import Link

_AT_ONCE = 64  # partitions in memory


@dataclass
class Checked:
    """What the partitions of some tables were found to be: how many by table, and what is wrong."""

    partitions: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def reach(inputs: TableInputs, calendar: Sequence[str], start: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Every table and session that the partitions `start` are made of, they themselves included; bronze too.

    Sessions are sorted; of `start`, those that are no session of the calendar are left out.
    """
    position = {key: number for number, key in enumerate(calendar)}
    needed = {table: {key for key in keys if key in position} for table, keys in start.items()}
    for table in reversed(list(inputs)):  # declared from silver to gold: a table comes before what is made of it
        for source in inputs[table].values():
            more = needed.setdefault(source.table, set()) if needed.get(table) else set()
            for key in needed.get(table, ()):
                more.update(neighbours(position[key], source, calendar))
    return {table: sorted(keys) for table, keys in needed.items() if keys}


def layer_link(
    lake: Lake,
    lineage: Lineage,
    inputs: TableInputs,
    layer: str,
    needed: Mapping[str, Sequence[str]],
    progress: Callable[[int], None] = lambda done: None,
) -> Link:
    """The link to one layer (gold or silver): each of its partitions is what its stamp says, and is made of what is
    in the layers below now.
    """
    checked = Checked()
    for table, keys in needed.items():
        if table.startswith(f"{layer}/"):
            _check(lake, lineage, inputs, table, keys, checked, progress)
    told = ", ".join(f"{table.partition('/')[2]} {count:,}" for table, count in sorted(checked.partitions.items()))
    total = sum(checked.partitions.values())
    words = f"{total:,} partitions: {told or 'none'}"
    return Link(layer, words, {"partitions": dict(checked.partitions)}, checked.problems)


def recorded_link(lake: Lake, recorded: Mapping[str, Mapping[str, str]]) -> Link:
    """The link from a training set to the gold partitions whose contents were recorded when it was made.

    recorded: table -> session -> content hash.
    """
    problems = []
    for table, contents in recorded.items():
        stamps = lake.stamps(table, contents)
        for key, content in sorted(contents.items()):
            stamp = stamps.get(key)
            if key not in stamps:
                problems.append(f"{table} {key}: is not there any more")
            elif not content:
                problems.append(f"{table} {key}: had no stamp at the training, so what it held is not on record")
            elif stamp is None or stamp.content != content:
                found = "no stamp" if stamp is None else stamp.content[:12]
                problems.append(f"{table} {key}: was {content[:12]} at the training and is {found} now: it was remade")
    sessions = sorted({key for contents in recorded.values() for key in contents})
    span = f", sessions {sessions[0]} to {sessions[-1]}" if sessions else ""
    words = f"{sum(map(len, recorded.values())):,} partitions of {', '.join(recorded) or 'no table'}{span}"
    facts = {"first": sessions[0] if sessions else None, "last": sessions[-1] if sessions else None}
    return Link("gold partitions", words, {**facts, "tables": sorted(recorded)}, problems)


def _check(
    lake: Lake,
    lineage: Lineage,
    inputs: TableInputs,
    table: str,
    keys: Sequence[str],
    checked: Checked,
    progress: Callable[[int], None],
) -> None:
    stamps = lake.stamps(table, keys)
    # A window reaches back before the first session that was made; what is not there is part of no digest.
    there = [key for key in keys if key in stamps]
    checked.partitions[table] = len(there)
    expected = lineage.expected_inputs(table, there)
    made_of = ", ".join(source.table for source in inputs[table].values())
    bronze = all(source.table.startswith(BRONZE) for source in inputs[table].values())
    for key in there:
        stamp = stamps[key]
        if stamp is None:
            checked.problems.append(f"{table} {key}: has no stamp, so what it was made of is not known")
        elif stamp.inputs != expected[key]:
            other = "other files" if bronze else "other partitions"
            checked.problems.append(f"{table} {key}: was made of {other} of {made_of} than lie there now")
    for first in range(0, len(there), _AT_ONCE):
        some = there[first : first + _AT_ONCE]
        try:
            contents = lake.read_tables(table, some)
        except (DataError, StoreError) as error:
            checked.problems.append(str(error))
            continue
        for key, (part, stamp) in contents.items():
            if stamp is not None and (found := content_hash(part.to_pandas())) != stamp.content:
                checked.problems.append(
                    f"{table} {key}: its rows have the hash {found[:12]}, its stamp says {stamp.content[:12]}"
                )
        progress(len(some))
