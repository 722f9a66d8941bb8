"""What follows a model's study: what trading costs, and which threshold and size would have paid after costs.

recorded.py reads costs from the lake, rules.py tries thresholds and sizes (pure), report.py says it in words and
pictures, assets.py and cost_assets.py are Dagster's side, schedules.py the clock's.
"""
