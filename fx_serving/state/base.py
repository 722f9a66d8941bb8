"""What a state store is: the protocol both databases keep, and its errors."""

from __future__ import annotations

from typing import Literal, Protocol

from fx_serving.client.audit_chain import AuditVerdict
from fx_serving.state.rows import AuditRecord, Change, Deployed, LeaseState, RolloutRow, StateView, TokenRow

#: The lease of the leading controller: its term is what commits are checked against.
CONTROLLER = "controller"


class StateError(Exception):
    """The database cannot be used now, in words; never with its address."""


class NotLeader(StateError):
    """The term of a commit is not the current one: another controller leads."""


class Conflict(StateError):
    """A commit that contradicts what is there. kind: "request" (its request id is another rollout's) or "running"
    (another rollout of the model is running)."""

    def __init__(self, kind: Literal["request", "running"], words: str) -> None:
        super().__init__(words)
        self.kind = kind


class StateStore(Protocol):
    """Rollouts, deployed versions, audit trail, tokens and leases. Safe to use from several threads.

    Every method raises StateError where the database cannot be reached or read; the next call tries again.
    """

    def commit(self, change: Change, term: int | None) -> int:
        """Everything in `change` and a new generation, or nothing; returns the generation.

        term: the leader's, as `lease` gave it; None for changes that need no leader (tokens). Raises NotLeader where
        another has taken the lease since, and Conflict. Rollouts that finish are written before those that start.
        """
        ...

    def view(self) -> StateView:
        """Generation, term, deployed versions and unfinished rollouts, of one moment."""
        ...

    def generation(self) -> int:
        """Rises with every commit."""
        ...

    def deployed(self) -> dict[str, Deployed]:
        """model -> its blue."""
        ...

    def rollouts(self, active: bool = False, model: str | None = None, limit: int = 500) -> list[RolloutRow]:
        """Unfinished rollouts, oldest first; or all, newest first."""
        ...

    def rollout(self, id: str) -> RolloutRow | None:
        """One rollout."""
        ...

    def by_request(self, request_id: str) -> RolloutRow | None:
        """The rollout that a request id began."""
        ...

    def audit(
        self, after: int = 0, limit: int = 200, model: str | None = None, newest_first: bool = False
    ) -> list[AuditRecord]:
        """Records with seq > after."""
        ...

    def verify_audit(self, head: tuple[int, str] | None) -> AuditVerdict:
        """Read and check the whole trail; head: read_head(stores.audit_head)."""
        ...

    def tokens(self) -> list[TokenRow]:
        """All tokens, revoked ones too, oldest first."""
        ...

    def lease(self, name: str, holder: str, ttl_s: float) -> LeaseState:
        """Take or renew a lease; tells who has it if the asker cannot. A holder keeps its term, even past the end,
        until another takes it.
        """
        ...

    def release(self, name: str, holder: str) -> None:
        """Give a lease up at once; nothing happens where it is another's."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
