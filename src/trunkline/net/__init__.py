"""Sockets and clocks: the one place that waits.

Everything below this floor is sans-I/O; everything above it holds policy. One event loop per
process, hot sockets drained in their reader callback, one timer for all deadlines.
"""
