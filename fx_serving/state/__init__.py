"""The controller's state: rollouts, deployed versions, audit trail, tokens and leases, in SQLite or PostgreSQL.

base      the protocol and its errors
rows      what goes in and comes out
schema    the tables, and which revision of them a database has
migrate   from one revision to another, by Alembic: migrations/versions
sql       what both databases share
sqlite    one file of the home
postgres  an address, for several hosts
chain     the audit trail's new records, and its head
open      which of them a home uses
"""

from fx_serving.client.audit_chain import AuditVerdict, read_head
from fx_serving.state.base import CONTROLLER, Conflict, NotLeader, StateError, StateStore
from fx_serving.state.open import open_state
from fx_serving.state.rows import (
    FINISHED,
    QUEUED,
    AuditEntry,
    AuditRecord,
    Change,
    Deployed,
    LeaseState,
    RolloutRow,
    StateView,
    TokenRow,
)

__all__ = [
    "CONTROLLER",
    "FINISHED",
    "QUEUED",
    "AuditEntry",
    "AuditRecord",
    "AuditVerdict",
    "Change",
    "Conflict",
    "Deployed",
    "LeaseState",
    "NotLeader",
    "RolloutRow",
    "StateError",
    "StateStore",
    "StateView",
    "TokenRow",
    "open_state",
    "read_head",
]
