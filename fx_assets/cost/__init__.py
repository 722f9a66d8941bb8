"""What steps cost: measured where they run, noted in a file a month, and added up by day, asset, model or run."""
