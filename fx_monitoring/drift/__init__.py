"""Feature drift, as pure functions over frames: no Dagster, no tracking, no feature store.

psi               the population stability index: bins, value, table, bands
report            figures of one model's drift, the status file other packages read, the chart
evidently_report  the HTML report for people
predictions       the prediction log as a frame, joined with what really happened
"""
