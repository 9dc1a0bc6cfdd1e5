"""Digest authentication for SIP: RFC 7616 as RFC 8760 and RFC 3261 section 22 apply it.

`algorithm` computes, `parameters` reads and writes the header values, `nonce` makes nonces and
remembers their counts, `challenger` is the server's side, `client` the client's, `credentials`
what is known of the users. Time is seconds since the epoch, randomness octets, both given by the
caller.

Left out: user names that are hashed or not ASCII-quotable (RFC 7616 sections 3.4.4, `username*`),
which SIP's grammar has not taken over, and the charset parameter; the key agreement behind AKA
(RFC 3310), whose RES is simply a password of octets here.
"""

from trunkline.sip.digest.algorithm import (
    DEFAULT_ALGORITHMS,
    Algorithm,
    Hash,
    digest_response,
    hashed_password,
    session_key,
)
from trunkline.sip.digest.challenger import (
    REASONS,
    Attempt,
    Challenger,
    Reason,
    Result,
    Settings,
    UriMatch,
)
from trunkline.sip.digest.client import Client, Login, Outcome, answer, choose
from trunkline.sip.digest.credentials import KnownUsers, Secret, UserSource, read_csv, split_user
from trunkline.sip.digest.nonce import NonceMaker, NonceUse, ReplayWindow
from trunkline.sip.digest.parameters import AuthenticationInfo, Challenge, Credentials

__all__ = [
    "DEFAULT_ALGORITHMS",
    "REASONS",
    "Algorithm",
    "Attempt",
    "AuthenticationInfo",
    "Challenge",
    "Challenger",
    "Client",
    "Credentials",
    "Hash",
    "KnownUsers",
    "Login",
    "NonceMaker",
    "NonceUse",
    "Outcome",
    "Reason",
    "ReplayWindow",
    "Result",
    "Secret",
    "Settings",
    "UriMatch",
    "UserSource",
    "answer",
    "choose",
    "digest_response",
    "hashed_password",
    "read_csv",
    "session_key",
    "split_user",
]
