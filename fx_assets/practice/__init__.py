"""A local server that answers as an OANDA v20 account does, with any history replayed as if it were live."""
