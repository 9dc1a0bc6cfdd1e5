"""The lab's stand-ins, for the commands that talk to them."""

from __future__ import annotations

from tests.lab.conftest import lab, network, runtime

__all__ = ["lab", "network", "runtime"]
