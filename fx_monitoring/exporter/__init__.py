"""`fx exporter`: the state of a home as Prometheus metrics. A light process of its own, that only reads.

catalogue.py   every metric: name, labels, unit, meaning
background.py  a collector at work: repeated, with a time limit, its last figures kept
collectors/    one file for each source of figures
server.py      the HTTP side: a scrape answers from what was collected, and reads nothing
app.py         one home's exporter, put together

The service's own metrics (fx_serving, GET /metrics) are scraped by Prometheus itself and are not repeated here.
"""
