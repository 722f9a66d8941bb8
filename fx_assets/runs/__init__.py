"""Runs from the command line: a child process that executes planned runs, and the parent's view of its progress."""
