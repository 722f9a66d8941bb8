"""Live running: the running session is made again and again while the market is open, by stream or by polling."""
