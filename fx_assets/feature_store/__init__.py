"""Feast: the registry, training frames as of a decision time, the online store, and the blobs the service reads."""
