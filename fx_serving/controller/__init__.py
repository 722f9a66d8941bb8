"""The rollout controller: one process that owns rollouts, deployed versions and the routing table.

rollout    what a rollout is: states, steps, events
facts      a step with nothing left open; what the smoke test found
machine    transitions by evidence, steps how steps begin and end, orders what people order: pure
gates      what the evidence means: pure
sources    what is known from outside, gather how it is asked, watch what is kept of it, workers their confirmations
core       the loop: evidence, machine, database, routing table; engine its levers
records    rollouts as rows and audit records; publish the routing table
leader     which of several controllers leads
verify     a bundle tried in a process of its own; suite the smoke test over the public port
series     the last minutes, for the console; routes the HTTP interface; app the process
simulation rollouts in a made-up world
"""
