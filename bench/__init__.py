"""Benchmarks: each figure beside a peer or a control in the same run."""
