"""Whether data, model, money and machines are well: GREEN, YELLOW or RED, with reasons and remedies.

tiers    a tier's colour, the verdict over all of them, and the file it is kept in
quant    data, models and money, from what the other monitoring assets wrote
errors   the service's errors of the last hours, from its totals since its start
machine  CPU, memory, disk, GPU, and the programs that must answer
report   tiers as a table
"""

from fx_monitoring.health.tiers import Health, Tier, latest_health, latest_infrastructure

__all__ = ["Health", "Tier", "latest_health", "latest_infrastructure"]
