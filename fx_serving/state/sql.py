"""What the databases share: every operation, in SQL that both understand. `?` marks a value."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fx_serving.client import rollout_log
from fx_serving.client.audit_chain import COLUMNS, AuditVerdict
from fx_serving.client.rollout_log import RolloutLogError
from fx_serving.client.state_address import describe
from fx_serving.state import chain, schema
from fx_serving.state.base import CONTROLLER, NotLeader, StateError
from fx_serving.state.rows import (
    FINISHED,
    AuditRecord,
    Change,
    Deployed,
    LeaseState,
    RolloutRow,
    StateView,
    TokenRow,
    iso,
    moment,
    plain,
)
from fx_serving.state.schema import Run

# A lease that ends later than so many times the asker's own was taken before the database's clock was set back. A
# holder that lives renews it long before; one that is dead must not keep it until the clock has caught up.
BELIEVED = 10
_ROLLOUT = "id, model, version, state, request_id, created_at, finished_at, body"
_DEPLOYED = "model, version, rollout_id, at, previous, previous_until"
_TOKEN = "id, name, role, hash, created_at, revoked_at, rate_per_s"
_AUDIT = ", ".join(COLUMNS)
_UNFINISHED = f"state NOT IN ({', '.join(repr(state) for state in sorted(FINISHED))})"


class SqlState(ABC):
    """Every operation; the databases say how a transaction is made and what time it is."""

    #: Of schema.TABLES.
    kind: str
    #: Behind a SELECT: the row stays as it is until the transaction ends.
    locking = ""

    def __init__(self, where: Path | str, head: Path | None) -> None:
        self.where = where
        self._head = chain.Head(head)
        self._lock = threading.RLock()

    @abstractmethod
    def _writing(self) -> Any:
        """Context manager: one transaction that no other writer shares; gives Run. Raises StateError, Conflict."""

    @abstractmethod
    def _reading(self) -> Any:
        """Context manager: reads of one moment; gives Run. Raises StateError."""

    @abstractmethod
    def _making(self) -> Any:
        """Context manager: one transaction in which no other process makes tables; gives Run. Raises StateError."""

    @abstractmethod
    def _now(self, run: Run) -> float:
        """The database's clock, seconds."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @contextmanager
    def _write(self) -> Iterator[Run]:
        with self._lock, self._writing() as run:
            yield run

    @contextmanager
    def _read(self) -> Iterator[Run]:
        with self._lock, self._reading() as run:
            yield run

    def _bring_up_to_date(self) -> None:
        """Make the tables of an empty database, migrate one of an earlier release; look only where all is well."""
        newest, list_tables = schema.revisions()[-1], schema.TABLES[self.kind]
        with self._reading() as run:
            found = schema.read(run, list_tables)
        if found == (newest, True):
            return
        schema.check(found[0], describe(self.where))
        if found[0] in (None, newest):
            with self._making() as run:
                found = schema.read(run, list_tables)  # another process may have been quicker
                if found[0] is None:
                    schema.make(run)
                elif found == (newest, False):
                    schema.stamp(run, newest)
        if found[0] not in (None, newest):
            from fx_serving.state.migrate import upgrade

            upgrade(self.where)

    def commit(self, change: Change, term: int | None) -> int:
        """See StateStore."""
        tail, fits = None, True
        with self._write() as run:
            if term is not None:
                self._check_term(run, term)
            for row in sorted(change.rollouts, key=lambda row: row.state not in FINISHED):
                _save_rollout(run, row)
            for model, deployed in change.deploy.items():
                _save_deployed(run, model, deployed)
            for token in change.tokens:
                _save_token(run, token)
            if change.audit:
                before = next(iter(run("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")), chain.start())
                fits = self._head.fits((before[0], before[1]), lambda seq: _hash_of(run, seq))
                rows = chain.append(change.audit, (before[0], before[1]))
                for row in rows:
                    run(f"INSERT INTO audit ({_AUDIT}) VALUES ({', '.join('?' * len(row))})", row)
                tail = (rows[-1][0], rows[-1][-1])
            run("UPDATE generation SET value = value + 1 WHERE one = 1")
            generation = _generation(run)
        if tail is not None and fits:
            self._head.move(tail)
        return generation

    def _check_term(self, run: Run, term: int) -> None:
        found = run(f"SELECT term, holder FROM leases WHERE name = ?{self.locking}", (CONTROLLER,))
        if not found or found[0][0] != term or not found[0][1]:
            now = f"{found[0][1]} leads with term {found[0][0]}" if found and found[0][1] else "nobody leads"
            raise NotLeader(f"term {term} is over: {now}; nothing was written")

    def view(self) -> StateView:
        """See StateStore."""
        with self._read() as run:
            term = run("SELECT term FROM leases WHERE name = ?", (CONTROLLER,))
            return StateView(
                generation=_generation(run),
                term=term[0][0] if term else 0,
                deployed=_deployed(run),
                active=_rollouts(run, f"WHERE {_UNFINISHED} ORDER BY created_at, id"),
            )

    def generation(self) -> int:
        """See StateStore."""
        with self._read() as run:
            return _generation(run)

    def deployed(self) -> dict[str, Deployed]:
        """See StateStore."""
        with self._read() as run:
            return _deployed(run)

    def rollouts(self, active: bool = False, model: str | None = None, limit: int = 500) -> list[RolloutRow]:
        """See StateStore."""
        conditions, values = ([_UNFINISHED] if active else []), []
        if model is not None:
            conditions.append("model = ?")
            values.append(model)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        order = "created_at, id" if active else "created_at DESC, id DESC"
        with self._read() as run:
            return _rollouts(run, f"{where}ORDER BY {order} LIMIT ?", (*values, limit))

    def rollout(self, id: str) -> RolloutRow | None:
        """See StateStore."""
        with self._read() as run:
            return next(iter(_rollouts(run, "WHERE id = ?", (plain(id),))), None)

    def by_request(self, request_id: str) -> RolloutRow | None:
        """See StateStore."""
        with self._read() as run:
            return next(iter(_rollouts(run, "WHERE request_id = ?", (plain(request_id),))), None)

    def audit(
        self, after: int = 0, limit: int = 200, model: str | None = None, newest_first: bool = False
    ) -> list[AuditRecord]:
        """See StateStore."""
        of_model, values = ("", ()) if model is None else (" AND model = ?", (plain(model),))
        order = "DESC" if newest_first else "ASC"
        with self._read() as run:
            found = run(
                f"SELECT {_AUDIT} FROM audit WHERE seq > ?{of_model} ORDER BY seq {order} LIMIT ?",
                (after, *values, limit),
            )
        return [chain.record(values) for values in found]

    def verify_audit(self, head: tuple[int, str] | None) -> AuditVerdict:
        """See StateStore. Reads by a connection of its own: a long trail holds nobody up."""
        try:
            return rollout_log.verify_audit(self.where, head)
        except RolloutLogError as error:
            raise StateError(str(error)) from None

    def tokens(self) -> list[TokenRow]:
        """See StateStore."""
        with self._read() as run:
            found = run(f"SELECT {_TOKEN} FROM tokens ORDER BY created_at, id")
        return [
            TokenRow(
                id=id,
                name=name,
                role=role,
                hash=digest,
                created_at=_at(created),
                revoked_at=moment(revoked),
                rate_per_s=rate,
            )
            for id, name, role, digest, created, revoked, rate in found
        ]

    def lease(self, name: str, holder: str, ttl_s: float) -> LeaseState:
        """See StateStore."""
        with self._write() as run:
            run("INSERT INTO leases VALUES (?, '', 0, 0) ON CONFLICT DO NOTHING", (name,))
            had, term, expires = run(
                f"SELECT holder, term, expires_at FROM leases WHERE name = ?{self.locking}", (name,)
            )[0]
            now = self._now(run)
            if had != holder and had and expires > now:
                if expires > now + BELIEVED * ttl_s:
                    expires = now + BELIEVED * ttl_s
                    run("UPDATE leases SET expires_at = ? WHERE name = ?", (expires, name))
                return LeaseState(term=term, held=False, holder=had, remaining_s=expires - now)
            term += had != holder
            run(
                "UPDATE leases SET holder = ?, term = ?, expires_at = ? WHERE name = ?",
                (holder, term, now + ttl_s, name),
            )
        return LeaseState(term=term, held=True, holder=holder, remaining_s=ttl_s)

    def release(self, name: str, holder: str) -> None:
        """See StateStore."""
        with self._write() as run:
            run("UPDATE leases SET holder = '', expires_at = 0 WHERE name = ? AND holder = ?", (name, holder))


def _at(text: str) -> Any:
    return moment(text)


def _save_rollout(run: Run, row: RolloutRow) -> None:
    run(
        f"INSERT INTO rollouts ({_ROLLOUT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "state = excluded.state, finished_at = excluded.finished_at, body = excluded.body",
        (
            plain(row.id),
            plain(row.model),
            plain(row.version),
            row.state,
            None if row.request_id is None else plain(row.request_id),
            iso(row.created_at),
            iso(row.finished_at) if row.finished_at else None,
            plain(row.body),
        ),
    )


def _save_deployed(run: Run, model: str, new: Deployed | None) -> None:
    if new is None:
        run("DELETE FROM deployed WHERE model = ?", (plain(model),))
        return
    until = iso(new.previous_until) if new.previous_until else None
    run(
        f"INSERT INTO deployed ({_DEPLOYED}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (model) DO UPDATE SET "
        "version = excluded.version, rollout_id = excluded.rollout_id, at = excluded.at, "
        "previous = excluded.previous, previous_until = excluded.previous_until",
        (plain(model), plain(new.version), new.rollout_id, iso(new.at), new.previous, until),
    )


def _save_token(run: Run, token: TokenRow) -> None:
    revoked = iso(token.revoked_at) if token.revoked_at else None
    run(
        f"INSERT INTO tokens ({_TOKEN}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "name = excluded.name, role = excluded.role, revoked_at = excluded.revoked_at, "
        "rate_per_s = excluded.rate_per_s",
        (token.id, plain(token.name), token.role, token.hash, iso(token.created_at), revoked, token.rate_per_s),
    )


def _hash_of(run: Run, seq: int) -> str | None:
    found = run("SELECT hash FROM audit WHERE seq = ?", (seq,))
    return found[0][0] if found else None


def _generation(run: Run) -> int:
    return int(run("SELECT value FROM generation WHERE one = 1")[0][0])


def _deployed(run: Run) -> dict[str, Deployed]:
    return {
        model: Deployed(version=version, rollout_id=id, at=_at(at), previous=previous, previous_until=moment(until))
        for model, version, id, at, previous, until in run(f"SELECT {_DEPLOYED} FROM deployed ORDER BY model")
    }


def _rollouts(run: Run, rest: str, values: tuple = ()) -> list[RolloutRow]:
    return [
        RolloutRow(
            id=id,
            model=model,
            version=version,
            state=state,
            request_id=request_id,
            created_at=_at(created),
            finished_at=moment(finished),
            body=body,
        )
        for id, model, version, state, request_id, created, finished, body in run(
            f"SELECT {_ROLLOUT} FROM rollouts {rest}", values
        )
    ]
