"""Which of the responses of a fork is passed back: RFC 3261 section 16.7, steps 4, 6 and 7."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.errors import DecodeError
from trunkline.sip.lists import split_list
from trunkline.sip.message import Response
from trunkline.sip.proxy.identity import route_uri
from trunkline.sip.reasons import REASONS
from trunkline.sip.uri import AnyUri, parse_uri

__all__ = ["best_of", "drop_contacts"]

# Of the 4xx those come first that help whoever sends the request again (step 6). Those last that
# say less than any other: nobody answered, or was left to answer, or served anything.
_PLACES = {401: -5, 407: -4, 415: -3, 420: -2, 484: -1, 487: 1, 503: 1, 408: 2}


def best_of(responses: Sequence[Response], *, cancelled: bool) -> Response | None:
    """Return the best of final responses, ``None`` if there are none.

    A 6xx, else the lowest class. Where the caller gave up, 487 comes before all but a 6xx: it is
    the answer to that (section 9.2). A lone 503 becomes 500, since one target's trouble is not ours
    (step 6). A 401 or 407 gets the challenges of all others (step 7), those of one response in
    their order (RFC 8760 section 2.5).
    """
    if not responses:
        return None

    def rank(response: Response) -> tuple[int, int]:
        status = response.status
        if status >= 600 or (cancelled and status == 487):
            return 0 if status >= 600 else 1, 0
        return status // 100, _PLACES.get(status, 0)

    best = min(responses, key=rank)
    if best.status == 503:
        best = best.copy()
        best.status, best.reason = 500, REASONS[500]
    elif best.status in (401, 407) and len(responses) > 1:
        chosen, best = best, best.copy()
        for other in responses:
            if other is not chosen and other.status in (401, 407):
                _add_challenges(best, other)
    return best


def _add_challenges(best: Response, other: Response) -> None:
    for name in ("WWW-Authenticate", "Proxy-Authenticate"):
        present = set(best.headers.all(name))
        for value in other.headers.all(name):
            if value not in present:
                best.headers.add(name, value)


def drop_contacts(response: Response, uris: Iterable[str]) -> bool:
    """Take the Contacts that are tried here out of a 3xx (step 4); whether any is left.

    What is left may be somebody else's to try.
    """
    tried = set(uris)
    alike: dict[tuple[str, str | None], list[AnyUri]] = {}
    for text in tried:
        if (uri := _parsed(text)) is not None:
            alike.setdefault((uri.scheme, uri.username), []).append(uri)

    def stays(value: str) -> bool:
        contact = route_uri(value)
        if contact in tried:
            return False
        uri = _parsed(contact)
        others = () if uri is None else alike.get((uri.scheme, uri.username), ())
        return not any(other.equivalent(uri) for other in others if uri is not None)

    headers = response.headers
    for at in range(len(headers.names) - 1, -1, -1):
        if headers.names[at] != "contact":
            continue
        values = split_list(headers.value(at))
        left = [value for value in values if stays(value)]
        if left and len(left) < len(values):
            headers.rewrite(at, ", ".join(left))
        elif not left and values:
            headers.delete(at)
    return "contact" in headers.names


def _parsed(text: str) -> AnyUri | None:
    try:
        return parse_uri(text)
    except DecodeError:
        return None
