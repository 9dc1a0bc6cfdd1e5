"""Users from tables and files."""

from __future__ import annotations

import pytest

from trunkline.errors import TrunklineError
from trunkline.sip.digest import Hash, Secret, read_csv, split_user
from trunkline.sip.digest.credentials import secret_of

FILE = """username, domain, password, ha1, ha1b, email
alice, atlanta.example, wonderland, , , alice@atlanta.example
bob,, , AB12, cd34,
"carol, jr.",atlanta.example,"a ""quoted"" word",,,
"""


def test_a_file_of_users() -> None:
    users = read_csv(FILE.splitlines(), "default.example", "users.csv")
    assert len(users) == 3
    assert users.lookup("alice", "atlanta.example") == Secret("wonderland")
    bob = Secret(None, {Hash.MD5: "ab12"}, {Hash.MD5: "cd34"})
    assert users.lookup("bob", "default.example") == bob
    assert users.lookup("carol, jr.", "atlanta.example") == Secret('a "quoted" word')
    assert users.lookup("alice", "default.example") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "users:1: the columns are"),
        ("name,password\n", "users:1: the columns are"),
        ("username,domain\n", "password, ha1"),
        ("username,password\nalice,a\nalice,b\n", "users:3: 'alice' of 'r' stands there twice"),
        ("username,password\nalice,\n", "users:2: 'alice' has no name, or no password"),
        ("username,password\n,secret\n", "users:2: '' has no name"),
        ("username,password\nalice,a,b\n", "users:2: more fields than columns"),
    ],
)
def test_files_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(TrunklineError) as caught:
        read_csv(text.splitlines(), "r")
    assert caught.value.code == "sip.digest-users"
    assert message in caught.value.message


def test_a_row_of_newer_columns() -> None:
    row = {"username": "a", "ha1_sha256": "AA", "ha1_sha512t256": "BB", "ha1": None, "password": ""}
    assert secret_of(row) == Secret(None, {Hash.SHA_256: "aa", Hash.SHA_512_256: "bb"})
    assert secret_of({"username": "a"}) is None


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("alice", ("alice", False)),
        ("alice@r.example", ("alice", True)),
        ("alice@R.example", ("alice", True)),
        ("alice@other", ("alice@other", False)),
        ("a@b@r.example", ("a@b", True)),
        ("@r.example", ("@r.example", False)),
        ("", ("", False)),
    ],
)
def test_names(username: str, expected: tuple[str, bool]) -> None:
    assert split_user(username, "r.example") == expected
