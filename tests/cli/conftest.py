"""The lab's stand-ins, for the commands that talk to them; and a SIP proxy that has seen calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.sip_phones import Proxied, running, three_calls
from tests.lab.conftest import lab, network, runtime

__all__ = ["lab", "network", "proxied", "runtime"]


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A proxy that three calls have passed."""
    for _ in range(3):
        with running(tmp_path_factory.mktemp("sip")) as found:
            if three_calls(found):
                yield found
                return
    pytest.fail("something had to be sent again each time")
