"""Each test gets a site of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.interop.sip.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    runtime = Path(mkdtemp(prefix="tl-", dir="/tmp"))  # a socket's path has 107 octets at most
    site = Site(tmp_path, runtime)
    try:
        yield site
    finally:
        site.close()
        shutil.rmtree(runtime, ignore_errors=True)
