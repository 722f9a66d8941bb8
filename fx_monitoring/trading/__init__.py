"""Paper trading: what the deployed models would have earned, order by order, at quotes that came after the order.

ledger     trading.db: decisions, orders, fills and refusals
forecasts  what a model says of a bar: the service's answer, or the champions' batch predictions
quotes     closing quotes of bars that have closed
settle     fills of the orders that are due
trader     one run: settle, ask, decide, record
figures    PnL, Sharpe ratio, drawdown and the rest, by the backtest's own functions
session    what became of one session's decisions
report     tables and pictures
"""

from fx_monitoring.trading.figures import Position, Ratio, TradingFigures, latest

__all__ = ["Position", "Ratio", "TradingFigures", "latest"]
