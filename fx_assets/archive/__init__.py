"""Finished months of bronze in a store of their own: packed, verified, restored. What bronze is, it does not know."""
