"""A made-up market: pure functions from (seed, what, when) to prices and headlines. The source is in fx_assets.sources.

Nothing here is remembered: each number is a hash of its place, so that any range of time can be asked for at once
and gives the same bars as any other range that holds it.
"""
