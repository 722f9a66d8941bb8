"""From a prediction, or a model version, back to the bronze files behind it; every hash on the way is verified.

link.py says what a link is; prediction.py, model.py, tables.py and bronze.py verify theirs; chain.py puts them
together. Everything is read from the home's own stores: no service and no network is needed. No asset here.
"""
