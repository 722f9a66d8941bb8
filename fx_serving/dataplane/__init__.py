"""The data plane: worker processes that answer predictions.

asgi, app, openapi   HTTP: the hot prediction route, everything else, the documentation
predictor            one prediction from request to answer
request, answer      what comes in and goes out
features             feature blobs held in memory
slots, routing       which bundle answers: blue, green, weight, lease
bundles, sidecar*    scoring in the process, and in the candidate's own process
log, feedback        the prediction log and what is reported back
metrics, health      what the operator sees
worker               the process itself
"""
