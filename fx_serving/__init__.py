"""The FX deployment service: blue/green predictions over REST.

client/      what other packages may import: the HTTP client and the formats of the shared stores (light:
httpx, msgspec) dataplane/   1..N worker processes that answer predictions, and the sidecar process that
scores a canary controller/  one process that owns rollouts: state machine, gates, audit, the published
routing table supervisor   `fx serve`: one listening socket, the controller, the workers, restarts, graceful
stop cli          the `fx` command

Nothing here imports dagster, mlflow, feast or pandas, nor the two Dagster code locations.
"""
