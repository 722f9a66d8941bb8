"""The data plane: worker processes that answer predictions.

asgi, app, openapi*     HTTP: the hot prediction routes, everything else, the documentation
admission, drain        how much a worker takes on, and how it leaves
predictor               one prediction from question to answer
request, answer         what comes in and goes out
batch, v2*, explain*    many questions, the Open Inference Protocol, contributions
features, snapshots     feature blobs held in memory
slots                   which bundle answers: blue, green, standby, weight, lease
bundles, outlier        scoring in the process; how unlike the training rows an input is
sidecar*, shadow        scoring in the candidate's own process, for its share of traffic and unseen
log, feedback, stream   the prediction log, what is reported back, and who listens
metrics, exposition     what is counted, and what the operator sees of it; health
worker                  the process itself
"""
