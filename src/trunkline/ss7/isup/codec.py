"""ISUP messages to octets and back (ITU-T Q.763 clause 1, figures 1 and 3).

A message here is what follows the MTP routing label: the circuit identification code, the message
type, and then three parts::

    CIC            2 octets, least significant first; the 4 high bits are spare and kept (1.2)
    message type   1 octet (1.3)
    fixed part     mandatory parameters of fixed length, in the order of the type's table (1.5)
    pointers       one for each mandatory variable parameter, one for the optional part (1.6)
    variable part  length indicator and content of each
    optional part  name, length indicator and content of each, ended by a zero octet (1.7, 1.8)

A pointer counts octets from itself (included) to what it points at (excluded); zero says that
there is no optional part.

Every parameter is kept in order, known or not. A sender may lay out the same content in other
ways (gaps, swapped pointers, no end-of-optional octet, octets after it): such a message is
accepted and its octets are kept beside the content, so that ``parse(x).to_bytes() == x`` holds for
everything accepted. A message whose type has no layout here is kept raw in ``body``.

Left out: segmentation (SGM is decoded, not joined).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.isup.messages import LAYOUTS, Layout, MessageType, ParameterCode

__all__ = ["MAX_CIC", "Message", "Parameter", "build", "parse"]

MAX_CIC: Final = 0xFFF
_HEADER: Final = 3
_END: Final = ParameterCode.END_OF_OPTIONAL_PARAMETERS.value

_TYPE_NAMES: Final = {int(code): code.name for code in MessageType}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name code (Q.763 Table 5) and its content, without length indicator."""

    code: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """An ISUP message.

    ``parameters`` holds the fixed, the variable and the optional part in that order; the layout
    of ``type`` says where one ends and the next begins. ``dataclasses.replace`` gives a message
    that is laid out afresh.
    """

    cic: int
    type: int
    """A :class:`MessageType` where the code is known, else the bare number."""
    parameters: tuple[Parameter, ...] = ()
    spare: int = 0
    """The four spare bits above the CIC (Q.763 1.2)."""
    body: bytes = b""
    """Everything after the message type, for a type that has no layout."""
    _octets: bytes = field(default=b"", init=False, repr=False, compare=False)

    def get(self, code: int) -> bytes | None:
        """The content of the first parameter of that name, or ``None``."""
        for parameter in self.parameters:
            if parameter.code == code:
                return parameter.value
        return None

    @property
    def type_name(self) -> str:
        """The acronym of Q.762, or ``type 0xNN`` for a code it does not know."""
        return _TYPE_NAMES.get(self.type, f"type 0x{self.type:02x}")

    @property
    def optional(self) -> tuple[Parameter, ...]:
        """The parameters of the optional part."""
        layout = LAYOUTS.get(self.type)
        if layout is None:
            return ()
        return self.parameters[len(layout.fixed) + len(layout.variable) :]

    @property
    def canonical(self) -> bool:
        """Whether ``to_bytes`` lays the message out itself, or repeats it as it was received."""
        return not self._octets

    def to_bytes(self) -> bytes:
        """The octets of the message; those it was parsed from, if it was parsed.

        Raises :class:`TrunklineError` ``isup.encode`` for content that no layout can hold.
        """
        return self._octets or _assemble(self)


def build(
    kind: MessageType,
    cic: int,
    mandatory: Iterable[bytes] = (),
    optional: Iterable[tuple[int, bytes]] = (),
) -> Message:
    """A message of a known type from the contents of its mandatory parameters, in table order."""
    layout = LAYOUTS[kind]
    codes = [*(code for code, _ in layout.fixed), *layout.variable]
    parameters = [Parameter(code, value) for code, value in zip(codes, mandatory, strict=True)]
    parameters += [Parameter(code, value) for code, value in optional]
    return Message(cic, kind, tuple(parameters))


def parse(octets: bytes) -> Message:
    """The message in these octets (what follows the routing label).

    Raises :class:`DecodeError` and nothing else: ``isup.truncated`` when the octets end before
    the message does, ``isup.pointer`` when a pointer cannot be followed.
    """
    if len(octets) < _HEADER:
        raise DecodeError(
            "isup.truncated",
            f"{len(octets)} octets cannot hold a CIC and a message type (3 octets)",
            offset=len(octets),
        )
    cic = octets[0] | (octets[1] & 0x0F) << 8
    spare = octets[1] >> 4
    code = octets[2]
    layout = LAYOUTS.get(code)
    if layout is None:
        kind = MessageType(code) if code in _TYPE_NAMES else code
        return Message(cic, kind, spare=spare, body=octets[_HEADER:])
    message = Message(cic, MessageType(code), _parameters(octets, layout), spare)
    if not _is_canonical(message, octets):
        object.__setattr__(message, "_octets", octets)
    return message


def _is_canonical(message: Message, octets: bytes) -> bool:
    try:
        return _assemble(message) == octets
    except TrunklineError:  # parts that overlap where they were can be too long side by side
        return False


def _parameters(octets: bytes, layout: Layout) -> tuple[Parameter, ...]:
    """The three parts of a message whose layout is known."""
    size = len(octets)
    found: list[Parameter] = []
    at = _HEADER
    for code, length in layout.fixed:
        if at + length > size:
            raise _truncated(octets, at, f"{code.name} takes {length} octets")
        found.append(Parameter(code, octets[at : at + length]))
        at += length
    for code in layout.variable:
        start = _follow(octets, at, code.name)
        if start == at:
            raise DecodeError(
                "isup.pointer", f"pointer to the mandatory {code.name} is zero", offset=at
            )
        found.append(Parameter(code, _content(octets, start, code.name)))
        at += 1
    # Editions before 1992 had messages without an optional part, and no pointer to it.
    if layout.optional and at < size:
        start = _follow(octets, at, "the optional part")
        if start != at:
            _optional_part(octets, start, found)
    return tuple(found)


def _optional_part(octets: bytes, at: int, found: list[Parameter]) -> None:
    """Append the optional parameters from ``at`` to the zero octet (or the end of the octets)."""
    size = len(octets)
    while at < size:
        code = octets[at]
        if code == _END:
            return
        content = _content(octets, at + 1, f"optional parameter 0x{code:02x}")
        found.append(Parameter(code, content))
        at += 2 + len(content)


def _follow(octets: bytes, at: int, what: str) -> int:
    """The octet that the pointer at ``at`` points to; ``at`` itself for a zero pointer."""
    if at >= len(octets):
        raise _truncated(octets, at, f"the pointer to {what} is missing")
    start = at + octets[at]
    if start >= len(octets):
        raise DecodeError(
            "isup.pointer",
            f"pointer {octets[at]} to {what} leads to octet {start} of {len(octets)}",
            offset=at,
        )
    return start


def _content(octets: bytes, at: int, what: str) -> bytes:
    """The content behind the length indicator at ``at``."""
    if at >= len(octets):
        raise _truncated(octets, at, f"the length of {what} is missing")
    end = at + 1 + octets[at]
    if end > len(octets):
        raise _truncated(octets, at, f"{what} takes {octets[at]} octets")
    return octets[at + 1 : end]


def _truncated(octets: bytes, at: int, problem: str) -> DecodeError:
    return DecodeError(
        "isup.truncated", f"{problem}, but the message ends at octet {len(octets)}", offset=at
    )


def _assemble(message: Message) -> bytes:
    """Lay the message out: variable part in table order, optional part last, no gaps."""
    if not 0 <= message.cic <= MAX_CIC or not 0 <= message.spare <= 0xF:
        raise TrunklineError("isup.encode", f"CIC {message.cic} does not fit 12 bits")
    head = bytearray((message.cic & 0xFF, message.cic >> 8 | message.spare << 4, message.type))
    layout = LAYOUTS.get(message.type)
    if layout is None:
        return bytes(head) + message.body
    parameters = message.parameters
    fixed = len(layout.fixed)
    mandatory = fixed + len(layout.variable)
    codes = [*(code for code, _ in layout.fixed), *layout.variable]
    if [parameter.code for parameter in parameters[:mandatory]] != codes:
        raise TrunklineError(
            "isup.encode",
            f"{message.type_name} starts with {', '.join(code.name for code in codes)}",
        )
    for (code, length), parameter in zip(layout.fixed, parameters[:fixed], strict=True):
        if len(parameter.value) != length:
            raise TrunklineError("isup.encode", f"{code.name} takes exactly {length} octets")
        head += parameter.value
    tail = bytearray()
    pointers = len(layout.variable) + layout.optional
    for index, parameter in enumerate(parameters[fixed:mandatory]):
        head.append(_octet(pointers - index + len(tail), "pointer"))
        tail.append(_octet(len(parameter.value), "length"))
        tail += parameter.value
    if layout.optional:
        optional = parameters[mandatory:]
        head.append(_octet(1 + len(tail), "pointer") if optional else 0)
        for parameter in optional:
            if parameter.code == _END:
                raise TrunklineError("isup.encode", "name 0 would end the optional part")
            tail.append(_octet(parameter.code, "name"))
            tail.append(_octet(len(parameter.value), "length"))
            tail += parameter.value
        if optional:
            tail.append(_END)
    elif len(parameters) > mandatory:
        raise TrunklineError("isup.encode", f"{message.type_name} has no optional part")
    return bytes(head + tail)


def _octet(number: int, what: str) -> int:
    if not 0 <= number <= 0xFF:
        raise TrunklineError("isup.encode", f"{what} {number} does not fit one octet")
    return number
