"""The screens of `trunkline sip browse`, and the keys that lead from one to the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from tests.cli.sip_phones import Proxied
from typer.testing import CliRunner

from trunkline.cli.app import build
from trunkline.cli.browser import Browser, browse
from trunkline.cli.proxies import Worker, proxy_workers
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient, Json, Params


@pytest.fixture
def workers(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(proxied.runtime))
    with proxy_workers(None, None) as found:
        yield found


def shown(browser: Browser, height: int = 24) -> list[str]:
    rows = browser.rows(height)
    assert len(rows) == height
    assert all(row.cell_len <= browser.width for row in rows)
    return [row.plain.rstrip() for row in rows]


def marked(browser: Browser, height: int = 24) -> str:
    [row] = [
        row for row in browser.rows(height) if any(span.style == "reverse" for span in row.spans)
    ]
    return row.plain


def test_from_the_list_to_a_message_and_back(workers: list[Worker]) -> None:
    browser = Browser(workers, 100)
    rows = shown(browser)
    assert rows[0].split() == ["Time", "Request", "From", "To", "Status", "Messages", "Call-ID"]
    assert [row.split()[-1] for row in rows[1:4]] == ["busy@phone", "ringing@phone", "wrong@phone"]
    assert rows[-1] == "Enter ladder   s story   q quit"
    assert "busy@phone" in marked(browser)
    browser.move(1)
    assert "ringing@phone" in marked(browser)
    browser.enter()
    rows = shown(browser)
    assert rows[0].split() == ["Edge"]
    assert "INVITE" in marked(browser)
    browser.move(100)
    assert "200 OK" in marked(browser)
    browser.move(-1000)
    browser.move(1)
    browser.enter()
    rows = shown(browser)
    assert rows[0].endswith(" octets")
    assert rows[1] == "SIP/2.0 100 Trying"
    assert browser.back()
    assert "100 Trying" in marked(browser)
    assert browser.back()
    assert shown(browser)[0].startswith("Time")
    assert not browser.back()


def test_a_story_that_is_longer_than_the_screen(workers: list[Worker]) -> None:
    browser = Browser(workers, 100)
    browser.move(1)
    browser.tell()
    rows = shown(browser, 10)
    assert rows[1] == "  Call-ID  ringing@phone"
    assert rows[-1] == "Esc back   q quit"
    browser.enter()
    browser.tell()
    assert shown(browser, 10) == rows
    browser.move(3)
    assert shown(browser, 10)[0] == rows[3]
    browser.move(1_000_000)
    assert shown(browser, 10)[-2].endswith("answered      200 OK")
    browser.move(-1_000_000)
    assert shown(browser, 10) == rows


def test_the_mark_is_always_seen(workers: list[Worker]) -> None:
    browser = Browser(workers, 60)
    browser.move(1)
    browser.enter()
    for step in [1] * 15 + [-1] * 15:
        browser.move(step)
        assert "│" in marked(browser, 8)


def test_a_marked_call_stays_marked(workers: list[Worker], proxied: Proxied) -> None:
    browser = Browser(workers, 100)
    browser.move(2)
    before = marked(browser)
    browser.refresh()
    assert marked(browser) == before


def test_keys(workers: list[Worker]) -> None:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text("\x1b[B\rjk\r\x7fs\x7f\x7fq")
        browse(workers)
        pipe.send_text("\x03")
        browse(workers)


@pytest.mark.parametrize("method", ["sip.calls", "sip.messages"])
def test_a_proxy_that_goes_away(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    asked = []

    def call(client: ControlClient, name: str, params: Params | None = None) -> Json:
        asked.append(name)
        if name == method and len(asked) > 1:
            raise TrunklineError("control.unreachable", "the node went away")
        return answered(client, name, params)

    answered = ControlClient.call
    monkeypatch.setattr(ControlClient, "call", call)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text("\r")
        with pytest.raises(TrunklineError, match="went away"):
            browse(workers)


def test_without_a_terminal() -> None:
    result = CliRunner().invoke(build(), ["sip", "browse"])
    assert isinstance(result.exception, TrunklineError)
    assert result.exception.code == "explain.no-terminal"
