"""Drift, as pure functions over frames and stores: no Dagster, no tracking, no feature store.

predictions       the prediction log as a frame
psi               the population stability index and the figures beside it
chance            how much of them chance alone explains, in a window like this one
report            every feature's figures, which count, and the few that explain the rest
feed              what tells a broken feed from another market
decide            what is done about it
words             tables of it, for people
judge             one model in one session: from the stores to the status that others read
status            that status as a file
importance        how far a champion leans on other inputs than in training
plot, evidently_report   pictures and the HTML report, for people
"""
