"""Bronze: what the sources answered, append-only and never modified."""
