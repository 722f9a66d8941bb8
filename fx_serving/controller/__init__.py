"""The controller: one process that owns rollouts.

rollout   the state machine: pure transitions from (rollout, evidence, now)
gates     what counts as good enough, too bad, or too little to say
evidence  what is known: worker acknowledgements and metric deltas
store     rollouts, audit trail and deployed versions in SQLite
publish   the routing table and its lease
verify    a bundle tried out in a process of its own
engine    the loop that brings them together
app       the HTTP interface (loopback only)
"""
