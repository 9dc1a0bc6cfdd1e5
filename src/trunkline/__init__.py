"""Trunkline: a telephone network in one Python package."""

__version__ = "0.1.0"
