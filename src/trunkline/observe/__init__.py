"""Observations: captures, log lines and the ring of recent events. Lossy under load, counted."""
