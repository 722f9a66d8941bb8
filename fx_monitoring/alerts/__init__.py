"""Alerts: what is wrong, who is told, and that the telling works.

Firing and resolving only record (`Desk`, one SQLite transaction); a process of its own sends (`courier`), so that no
run and no sensor ever waits for a mail server.
"""

from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.figures import AlertFigures, figures
from fx_monitoring.alerts.model import Alert, OpenAlert

__all__ = ["Alert", "AlertFigures", "Desk", "OpenAlert", "figures"]
