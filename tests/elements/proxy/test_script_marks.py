"""Marks that would never be heard of, or at the wrong time, are told when the script is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.elements.proxy.script import load_script
from trunkline.elements.proxy.story import story_of
from trunkline.errors import TrunklineError
from trunkline.script import Request, on_request
from trunkline.testing import Harness

HEAD = "from trunkline.script import *\nimport functools\n"
ONE = "@on_request()\ndef one(request): request.reply(200)\n"


def load(folder: Path, program: str) -> None:
    script = folder / "route.py"
    script.write_text(HEAD + program, encoding="utf-8")
    load_script(script)


@pytest.mark.parametrize(
    ("program", "hint"),
    [
        ("@on_request\ndef f(r): pass", "write @on_request() with its brackets"),
        ("@in_dialog\ndef f(r): pass", "write @in_dialog() with its brackets"),
        ("@on_request('invite')\ndef f(r): pass", '"INVITE" is meant, most likely'),
        ("@on_request('INIVTE')\ndef f(r): pass", '"INVITE" is meant, most likely'),
        ("@on_request('INVITE|BYE')\ndef f(r): pass", 'write @on_request("INVITE", "BYE")'),
        ("@on_request('')\ndef f(r): pass", 'write @on_request("INVITE")'),
        ("@on_request('CANCEL')\ndef f(r): pass", "no handler sees CANCEL"),
        ("@on_failure(486)\ndef f(r, a): pass", "a status is asked for in the function"),
        ("@on_request(['INVITE', 'BYE'])\ndef f(r): pass", '@on_request("INVITE", "BYE")'),
        ("@on_request(('INVITE', 'BYE'))\ndef f(r): pass", '@on_request("INVITE", "BYE")'),
        ("@every\ndef f(app): pass", "a number of seconds"),
        ("@every('10')\ndef f(app): pass", "a number of seconds"),
        ("@every(True)\ndef f(app): pass", "a number of seconds"),
        ("@every(0)\ndef f(app): pass", "a number of seconds"),
        ("@every(float('nan'))\ndef f(app): pass", "a number of seconds"),
        ("g = on_request()(functools.partial(print, 1))", "stands above a function"),
        ("g = on_request()(None)", "stands above a function"),
    ],
)
def test_what_a_mark_is_given(tmp_path: Path, program: str, hint: str) -> None:
    with pytest.raises(TrunklineError) as raised:
        load(tmp_path, ONE + program)
    assert raised.value.code == "script.handler"
    assert hint in raised.value.message
    assert f"{tmp_path / 'route.py'}:" in raised.value.message


def test_methods_that_nobody_knows_yet(tmp_path: Path) -> None:
    load(tmp_path, "@on_request('FOO', 'X-1')\ndef f(r): pass")


LOST = "@on_request('MESSAGE')\ndef lost(request): request.reply(200)\n"
DECORATED = """
def decorator(function):
    def other(request):
        return function(request)
    return other

@decorator
"""


@pytest.mark.parametrize(
    "program",
    [
        DECORATED + LOST,
        LOST + "@on_request('INFO')\ndef lost(request): request.reply(200)\n",
        "class A:\n    @on_request('MESSAGE')\n    def lost(request): request.reply(200)\n",
    ],
)
def test_a_mark_that_is_lost(tmp_path: Path, program: str) -> None:
    with pytest.raises(TrunklineError, match="lost has the mark @on_request") as raised:
        load(tmp_path, ONE + program)
    assert raised.value.code == "script.handler"


def test_a_decorator_that_keeps_the_mark(tmp_path: Path) -> None:
    kept = DECORATED.replace("    def other", "    @functools.wraps(function)\n    def other")
    load(tmp_path, ONE + kept + LOST)


def test_a_handler_that_another_module_has(tmp_path: Path) -> None:
    (tmp_path / "beside_marks.py").write_text(HEAD + LOST + ONE, encoding="utf-8")
    load(tmp_path, "from beside_marks import lost\n")


def test_a_target_that_nobody_finds_is_a_step() -> None:
    @on_request()
    def call(request: Request) -> None:
        request.relay("sip:bob@nowhere.example")

    with Harness([call]) as proxy:
        [answer] = proxy.receive(proxy.request("MESSAGE", "sip:bob@example.org"))
        assert answer.status == 480
        recorder = proxy.element.recorder
        [call_id] = recorder.call_ids(9)
        [step] = [step for step in story_of(recorder, call_id) if step.kind == "not-sent"]
        assert step.text == "sip:bob@nowhere.example: no next hop"
