"""Observations: captures, and what a SIP proxy remembers of calls. Lossy under load, counted."""
