"""The platform's processes on one machine: what `fx up` starts, watches and stops."""
