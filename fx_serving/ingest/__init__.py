"""From the prediction log's segments into a database, once and only once.

app        the process
ingester   the pass itself
reader     the segments: which there are, and their next whole lines
tables     the tables, and what a batch of records does to them
sqlite     predictions.db of the home
postgres   the database of FX_STATE_URL
retention  deletes segments and rows that are old enough
query      what the controller asks: outcomes of a version's predictions, routing keys

Importing this package loads none of them.
"""
