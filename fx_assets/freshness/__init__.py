"""How new data must be: policies that the Dagster UI shows, and checks of the newest row against the calendar."""
