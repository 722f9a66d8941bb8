"""Making the partitions of one or several tables: chunk by chunk, staged as they come, shown all at once.

While one chunk is computed, the one before it is hashed, encoded and written by threads: numpy, Arrow, hashing and the
disk leave the interpreter to others. At most two chunks are in memory, whatever the range. A run that fails or is
killed before the IO manager publishes has changed nothing; what it staged is discarded, or swept later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from fx_assets.cores import cores
from fx_assets.lake import Lake
from fx_assets.lineage import Stamp, code_version, inputs_digest, schema_hash
from fx_assets.partition_file import arrow_table, encode
from fx_assets.schemas import Schema
from fx_assets.tables.chunks import chunks
from fx_assets.tables.conform import Sessions, arrange
from fx_assets.tables.reader import Reader

_WRITERS, _A_CORE = 4, 2  # they wait for the disk half of their time
_BATCH_SESSIONS, _BATCH_CELLS = 32, 2_000_000  # written by one thread at a time: fsyncs of a batch overlap

Problems = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Computed:
    """What a compute function returns for a chunk of sessions.

    frames: by table; rows of other sessions are left out. problems: by table and session, why nothing may be built on
    it. figures: by table and session, more metadata of its event.
    """

    frames: Mapping[str, pd.DataFrame]
    problems: Mapping[str, Problems] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Partition:
    """One session of a table, staged."""

    token: str
    content: str
    rows: int
    size: int
    span: tuple[str, str] | None
    problems: Sequence[str]
    figures: Mapping[str, Any]


@dataclass
class Staged:
    """A table's partitions that wait to be shown, sorted by session. sample: the newest session with rows, for a plot,
    where the schema has one; its key and that column.

    invalid: what the schema says, by session; also among each partition's problems.
    """

    table: str
    lake: Lake
    partitions: dict[str, Partition] = field(default_factory=dict)
    invalid: dict[str, list[str]] = field(default_factory=dict)
    sample: tuple[str, pd.DataFrame] | None = None

    @property
    def rows(self) -> int:
        return sum(partition.rows for partition in self.partitions.values())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(partition.size for partition in self.partitions.values())

    def add(self, later: Staged) -> None:
        """Take over what was staged of later sessions."""
        self.partitions |= later.partitions
        self.invalid |= later.invalid
        self.sample = later.sample or self.sample

    def publish(self) -> None:
        """Show all partitions."""
        self.lake.publish(partition.token for partition in self.partitions.values())

    def discard(self) -> None:
        """Forget all partitions."""
        self.lake.discard(partition.token for partition in self.partitions.values())


@dataclass(frozen=True)
class _Job:
    """Some sessions of a chunk of one table: what one thread writes at a time."""

    table: str
    sessions: Sessions
    keys: Sequence[str]
    inputs: Mapping[str, str]
    invalid: Mapping[str, list[str]]
    problems: Problems
    figures: Mapping[str, Mapping[str, Any]]


Compute = Callable[[list[str]], Computed]


@dataclass(frozen=True)
class Production:
    """Everything about a run that does not change from chunk to chunk."""

    lake: Lake
    schemas: Sequence[Schema]
    inputs: Sequence[Reader]
    rows_per_session: int
    all_week: bool = False

    def run(self, keys: Sequence[str], compute: Compute, cells: int | None = None) -> dict[str, Staged]:
        """Compute and stage every session of `keys`. cells: of a chunk; see chunks.CELLS.

        Raises what compute and the store raise; nothing stays staged then.
        """
        made = self.nothing()
        writing: list[Future[None]] = []
        with ThreadPoolExecutor(min(_WRITERS, _A_CORE * cores()), thread_name_prefix="tables") as pool:
            try:
                for chunk in self.chunks(keys, cells):
                    computed = compute(chunk)
                    digests = {key: self._inputs_of(key) for key in chunk}
                    jobs = [job for schema in self.schemas for job in self._jobs(schema, computed, chunk, digests)]
                    for future in writing:
                        future.result()
                    writing = [pool.submit(self._write, made[job.table], job) for job in jobs]
                    # Not kept alive by a name while the next chunk is computed.
                    del computed, jobs
                for future in writing:
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                for staged in made.values():
                    staged.discard()
                raise
        for staged in made.values():
            staged.partitions = {key: staged.partitions[key] for key in keys}
        return made

    def nothing(self) -> dict[str, Staged]:
        """Every table, before anything of it is staged."""
        return {schema.table: Staged(schema.table, self.lake) for schema in self.schemas}

    def chunks(self, keys: Sequence[str], cells: int | None = None) -> Iterator[list[str]]:
        """What of `keys` is computed at a time."""
        columns = sum(len(schema.columns) for schema in self.schemas) + sum(i.width for i in self.inputs)
        return chunks(keys, self.rows_per_session, columns, cells)

    def _inputs_of(self, key: str) -> str:
        return inputs_digest((reader.source, reader.taken(key), reader.contents) for reader in self.inputs)

    def _jobs(
        self, schema: Schema, computed: Computed, chunk: Sequence[str], digests: Mapping[str, str]
    ) -> Iterator[_Job]:
        """One table of a chunk, cut into what one thread writes at a time."""
        sessions = arrange(schema, computed.frames[schema.table], chunk, self.all_week)
        invalid = sessions.problems()
        cells = sum(sessions.rows(key) for key in chunk) * len(schema.columns)
        size = max(1, min(_BATCH_SESSIONS, len(chunk) * _BATCH_CELLS // max(1, cells)))
        told = computed.problems.get(schema.table, {})
        figures = computed.figures.get(schema.table, {})
        for first in range(0, len(chunk), size):
            keys = chunk[first : first + size]
            yield _Job(schema.table, sessions, keys, digests, invalid, told, figures)

    def _write(self, staged: Staged, job: _Job) -> None:
        """Hash, encode and stage some sessions."""
        schema, code = schema_hash(job.sessions.schema), code_version(job.table)
        steady = job.sessions.schema.steady
        slices = [job.sessions.slices[key] for key in job.keys]
        begin, end = min(s.start for s in slices), max(s.stop for s in slices)
        arrow = arrow_table({name: values[begin:end] for name, values in job.sessions.columns.items()})
        files, made = {}, {}
        for key in job.keys:
            problems = (*job.problems.get(key, ()), *job.invalid.get(key, ()))
            stamp = Stamp(job.sessions.content(key), job.inputs[key], code, schema, problems)
            where = job.sessions.slices[key]
            files[key] = encode(arrow.slice(where.start - begin, where.stop - where.start), stamp, steady)
            made[key] = stamp
        tokens = self.lake.stage(job.table, files)
        for (key, stamp), token in zip(made.items(), tokens, strict=True):
            staged.partitions[key] = Partition(
                token,
                stamp.content,
                job.sessions.rows(key),
                len(files[key]),
                job.sessions.span(key),
                stamp.problems,
                job.figures.get(key, {}),
            )
            if key in job.invalid:
                staged.invalid[key] = job.invalid[key]
        filled, shown = [key for key in job.keys if job.sessions.rows(key)], job.sessions.schema.plot
        if shown is not None and filled and (staged.sample is None or staged.sample[0] < filled[-1]):
            staged.sample = filled[-1], job.sessions.frame(filled[-1], [*job.sessions.schema.key, shown])
