r"""Dialplan tables as Kamailio's module ``dialplan`` has them: text in, other text out, by rows.

```text
found = dialplan.translate(400, "m=audio 4002 RTP/AVP 8 101")
found.value                # "4002"
dialplan.explain(400, …)   # every row of 400, and why it did or did not match
```

Of the rows with the dpid asked for, those whose ``match_len`` is the length of the text come
first, then those with 0; among each, the lowest ``pr`` first, then the order of the source. The
first row that matches **decides**: if its ``subst_exp`` does not fit, no later row is tried.

- ``match_op`` 0: the text is ``match_exp``. 1: ``match_exp``, an expression of PCRE, is found
  anywhere in the text. 2: ``match_exp``, a pattern of ``fnmatch``, fits the whole text.
- With ``subst_exp``, that expression is looked for in the text, too, and the value is ``repl_exp``,
  in which ``\0`` is what was found and ``\1`` to ``\9`` are its groups; ``\\``, ``\n``, ``\r`` and
  ``\t`` are characters. What of the text lies outside is not in the value.
- Without ``subst_exp``, the value is ``repl_exp`` as it stands. Without ``repl_exp``, it is empty.

Lengths and expressions count octets (UTF-8). ``tests/interop/test_kamailio_dialplan.py`` compares
all this with Kamailio 5.6. What differs here, on purpose: a value may be longer than 126 octets and
attributes longer than 254; a text may not be longer than :data:`LONGEST_TEXT`; there are no
variables (``$rU``, ``\u``) in a row; an expression that :mod:`trunkline.config.pcre` cannot give
Python is an error when the table is loaded, which names the row; PCRE's limit of backtracking has
no counterpart: a table names its rows that may need one (:attr:`Dialplan.slow`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import ref

from trunkline.config.kamailio import (
    COLUMNS,
    MOST_ROWS,
    DialplanRow,
    MatchOp,
    read_csv,
    row_of,
)
from trunkline.config.pcre import Expression, fnmatch_expression, octets, pcre_expression
from trunkline.errors import DecodeError, TrunklineError

if TYPE_CHECKING:
    from trunkline.store.sql import Sql

__all__ = [
    "LONGEST_TEXT",
    "OUTCOMES",
    "REASONS",
    "Candidate",
    "Decided",
    "Dialplan",
    "DialplanError",
    "Explanation",
    "LiveDialplan",
    "Outcome",
    "Reason",
    "Translation",
    "from_sql",
    "save_sql",
]

LONGEST_TEXT = 1024
"""Octets of a text; a longer one is not translated. Expressions cost more than its length."""


class DialplanError(TrunklineError):
    """A row that cannot be used; ``row`` is the one."""

    def __init__(self, code: str, row: DialplanRow, message: str) -> None:
        place = f" (line {row.line})" if row.line else ""
        super().__init__(code, f"dialplan row {row.id}{place}: {message}")
        self.row = row


class Reason(Enum):
    """Why a row did or did not decide."""

    SELECTED = "selected"
    NO_SUBSTITUTION = "no-substitution"
    LATER = "later"
    OTHER_LENGTH = "other-length"
    NOT_EQUAL = "not-equal"
    NOT_FOUND = "not-found"
    NO_FIT = "no-fit"


REASONS = MappingProxyType(
    {
        Reason.SELECTED: "the first row that matches",
        Reason.NO_SUBSTITUTION: "the first row that matches, but subst_exp is not in the text",
        Reason.LATER: "not tried: a row before it matches",
        Reason.OTHER_LENGTH: "match_len is not the length of the text",
        Reason.NOT_EQUAL: "the text is not match_exp",
        Reason.NOT_FOUND: "match_exp is not found in the text",
        Reason.NO_FIT: "the text does not fit the pattern match_exp",
    }
)
"""Every reason code of a row, in words."""


class Outcome(Enum):
    """What came of a translation."""

    TRANSLATED = "translated"
    NO_SUBSTITUTION = "no-substitution"
    NO_MATCH = "no-match"
    NO_DIALPLAN = "no-dialplan"
    EMPTY_TEXT = "empty-text"
    LONG_TEXT = "long-text"


OUTCOMES = MappingProxyType(
    {
        Outcome.TRANSLATED: "a row matched and gave a value",
        Outcome.NO_SUBSTITUTION: "a row matched, and could not give a value: no translation",
        Outcome.NO_MATCH: "no row matches",
        Outcome.NO_DIALPLAN: "no row has this dpid",
        Outcome.EMPTY_TEXT: "an empty text is never translated",
        Outcome.LONG_TEXT: "the text is longer than 1024 octets",
    }
)
"""Every outcome, in words."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a text becomes, and by which row."""

    value: str
    attrs: str
    row: DialplanRow


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row, and why it did or did not decide."""

    row: DialplanRow
    reason: Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision: every row of the dialplan, in the order in which they are tried."""

    dpid: int
    text: str
    outcome: Outcome
    translation: Translation | None
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        lines = [f"dialplan {self.dpid}, {self.text!r}: {OUTCOMES[self.outcome]}"]
        for candidate in self.candidates:
            row, reason = candidate.row, candidate.reason
            mark = "*" if reason in (Reason.SELECTED, Reason.NO_SUBSTITUTION) else "-"
            length = f" len {row.match_len}" if row.match_len else ""
            lines.append(
                f"  {mark} row {row.id} pr {row.pr}{length} {row.match_op.name.lower()} "
                f"'{row.match_exp}' [{reason.value}]: {REASONS[reason]}"
            )
        if self.translation is not None:
            lines.append(f"value {self.translation.value!r}, attrs {self.translation.attrs!r}")
        return "\n".join(lines)


class Decided:
    """A decision, remembered by what it was taken from: its rows are gone through when asked for.

    The table never changes; when it has been replaced and is gone, the row that won is left.
    """

    __slots__ = ("_table", "dpid", "outcome", "text", "translation")

    def __init__(
        self,
        table: Dialplan,
        dpid: int,
        text: str,
        outcome: Outcome,
        translation: Translation | None,
    ) -> None:
        self._table = ref(table)
        self.dpid = dpid
        self.text = text
        self.outcome = outcome
        self.translation = translation

    def explanation(self) -> Explanation:
        """The decision with its rows, if they are still there."""
        table = self._table()
        if table is None:
            won = self.translation
            left = () if won is None else (Candidate(won.row, Reason.SELECTED),)
            return Explanation(self.dpid, self.text, self.outcome, won, left)
        return table.explain(self.dpid, self.text)

    @property
    def octets(self) -> int:
        """What it costs to remember, about."""
        return 300 + len(self.text)


class _Rule:
    """A row that has been compiled."""

    __slots__ = ("differs", "equal", "expression", "nested", "row", "substitution", "template")

    def __init__(self, row: DialplanRow) -> None:
        self.row = row
        self.equal: bytes | None = None
        self.expression: re.Pattern[bytes] | None = None
        self.nested = False
        if row.match_op is MatchOp.EQUAL:
            self.equal, self.differs = octets(row.match_exp), Reason.NOT_EQUAL
        elif row.match_op is MatchOp.REGEX:
            self.expression, self.differs = self._compiled("match_exp", pcre_expression)
        else:
            self.expression, self.differs = self._compiled("match_exp", fnmatch_expression)
        self.substitution: re.Pattern[bytes] | None = None
        if row.subst_exp:
            self.substitution, _ = self._compiled("subst_exp", pcre_expression)
        groups = self.substitution.groups if self.substitution else 0
        self.template = _template(row, groups)

    def _compiled(
        self, column: str, compiler: Callable[[str], Expression]
    ) -> tuple[re.Pattern[bytes], Reason]:
        source: str = getattr(self.row, column)
        try:
            expression = compiler(source)
        except DecodeError as problem:
            raise DialplanError(
                "dialplan.expression",
                self.row,
                f"{column} {source!r}, column {problem.offset + 1}: {problem.message}",
            ) from problem
        self.nested |= expression.nested
        return expression.pattern, (
            Reason.NOT_FOUND if compiler is pcre_expression else Reason.NO_FIT
        )

    def matches(self, text: bytes) -> bool:
        if self.expression is None:
            return text == self.equal
        return self.expression.search(text) is not None

    def value(self, text: bytes) -> str | None:
        """What the text becomes; ``None`` if the substitution does not fit."""
        if self.substitution is None:
            return self.row.repl_exp
        found = self.substitution.search(text)
        if found is None:
            return None
        parts = [part if isinstance(part, bytes) else found[part] or b"" for part in self.template]
        return b"".join(parts).decode("utf-8", "surrogateescape")


_ESCAPED = re.compile(r"\\(.?)|\$", re.DOTALL)
_CHARACTERS = {"n": b"\n", "r": b"\r", "t": b"\t"}


def _template(row: DialplanRow, groups: int) -> tuple[bytes | int, ...]:
    """``repl_exp`` as octets and numbers of groups."""
    text = row.repl_exp
    parts: list[bytes | int] = []
    at = 0
    for found in _ESCAPED.finditer(text):
        parts.append(octets(text[at : found.start()]))
        at = found.end()
        letter = found[1]
        if letter is None or letter == "u":
            raise DialplanError(
                "dialplan.variable",
                row,
                f"repl_exp {text!r}: {text[found.start() :][:12]!r} is a variable of Kamailio; "
                "put it in by the script, or write \\$ for the sign",
            )
        if letter.isascii() and letter.isdigit():
            number = int(letter)
            if number > groups:
                raise DialplanError(
                    "dialplan.group",
                    row,
                    f"repl_exp {text!r} refers to group {number}; "
                    f"subst_exp {row.subst_exp!r} has {groups}",
                )
            parts.append(number)
        else:
            parts.append(_CHARACTERS.get(letter, octets(letter or "\\")))
    parts.append(octets(text[at:]))
    return tuple(part for part in parts if part != b"")


class Dialplan:
    """Compiled rows; it never changes.

    Raises:
        DialplanError: ``dialplan.expression``, ``dialplan.group``, ``dialplan.variable``;
        TrunklineError: ``dialplan.rows`` for too many of them.
    """

    def __init__(self, rows: Iterable[DialplanRow]) -> None:
        self.rows = tuple(rows)
        if len(self.rows) > MOST_ROWS:
            raise TrunklineError("dialplan.rows", f"more than {MOST_ROWS} rows: split the table")
        self.long_texts = 0
        """Texts that were not translated for their length."""
        self._rules: dict[int, list[_Rule]] = {}
        for row in sorted(self.rows, key=lambda row: row.pr):
            self._rules.setdefault(row.dpid, []).append(_Rule(row))

    @property
    def slow(self) -> tuple[DialplanRow, ...]:
        """Rows in which a repetition without end stands inside another."""
        return tuple(rule.row for rules in self._rules.values() for rule in rules if rule.nested)

    def translate(self, dpid: int, text: str) -> Translation | None:
        """What ``text`` becomes by the rows with ``dpid``, or ``None``."""
        return self._decide(dpid, text, None)[1]

    def explain(self, dpid: int, text: str) -> Explanation:
        """The same decision, with every row and why it did or did not match."""
        candidates: list[Candidate] = []
        outcome, translation = self._decide(dpid, text, candidates)
        return Explanation(dpid, text, outcome, translation, tuple(candidates))

    def decided(self, dpid: int, text: str) -> Decided:
        """The same decision, to be explained later: now it costs no more than ``translate``."""
        return Decided(self, dpid, text, *self._decide(dpid, text, None))

    def _decide(
        self, dpid: int, text: str, record: list[Candidate] | None
    ) -> tuple[Outcome, Translation | None]:
        rules = self._rules.get(dpid)
        if rules is None:
            return Outcome.NO_DIALPLAN, None
        data = octets(text)
        length = len(data)
        if not length:
            return Outcome.EMPTY_TEXT, None
        if length > LONGEST_TEXT:
            self.long_texts += 1
            return Outcome.LONG_TEXT, None
        outcome = Outcome.NO_MATCH
        translation = None
        for wanted in (length, 0):
            for rule in rules:
                row = rule.row
                if row.match_len != wanted:
                    continue
                if outcome is not Outcome.NO_MATCH:
                    reason = Reason.LATER
                elif not rule.matches(data):
                    reason = rule.differs
                else:
                    value = rule.value(data)
                    if value is None:
                        outcome, reason = Outcome.NO_SUBSTITUTION, Reason.NO_SUBSTITUTION
                    else:
                        outcome, reason = Outcome.TRANSLATED, Reason.SELECTED
                        translation = Translation(value, row.attrs, row)
                    if record is None:
                        return outcome, translation
                if record is not None:
                    record.append(Candidate(row, reason))
        if record is not None:
            record += [
                Candidate(rule.row, Reason.OTHER_LENGTH)
                for rule in rules
                if rule.row.match_len not in (0, length)
            ]
        return outcome, translation


class LiveDialplan:
    """A dialplan that can be loaded anew; what is asked meanwhile is answered by the old one."""

    def __init__(self, current: Dialplan, load: Callable[[], Awaitable[Dialplan]]) -> None:
        self.current = current
        """The rows in force."""
        self._load = load

    @classmethod
    def from_csv(cls, path: Path) -> LiveDialplan:
        """The rows of a CSV file; see :func:`trunkline.config.kamailio.read_csv`.

        Raises:
            TrunklineError: of the file, ``config.kamailio``, or of a row.
        """

        async def load() -> Dialplan:
            return Dialplan(read_csv(path))

        return cls(Dialplan(read_csv(path)), load)

    @classmethod
    async def from_sql(cls, sql: Sql, table: str = "dialplan") -> LiveDialplan:
        """The rows of a table with Kamailio's schema; see :func:`from_sql`."""

        async def load() -> Dialplan:
            return await from_sql(sql, table)

        return cls(await load(), load)

    async def load(self) -> Dialplan:
        """Load the rows again; they count when they become ``current``.

        Raises:
            TrunklineError: of the source, or of a row.
        """
        return await self._load()

    async def reload(self) -> Dialplan:
        """Load the rows again; all of them count from now on, or, after an error, none.

        Raises:
            TrunklineError: of the source, or of a row.
        """
        self.current = await self._load()
        return self.current

    def translate(self, dpid: int, text: str) -> Translation | None:
        """See :meth:`Dialplan.translate`."""
        return self.current.translate(dpid, text)

    def explain(self, dpid: int, text: str) -> Explanation:
        """See :meth:`Dialplan.explain`."""
        return self.current.explain(dpid, text)


async def from_sql(sql: Sql, table: str = "dialplan") -> Dialplan:
    """The dialplan in a table with Kamailio's schema.

    Raises:
        TrunklineError: of the store; of a row; ``dialplan.table`` for a name that is none.
    """
    _check_table(table)
    found = await sql.fetch_all(f"SELECT {', '.join(COLUMNS)} FROM {table} ORDER BY pr, id")
    rows = []
    for values in found:
        try:
            rows.append(row_of(values, 0))
        except ValueError as problem:
            raise TrunklineError(
                "dialplan.table", f"sql.{sql.name}: {table}, row {values['id']}: {problem}"
            ) from problem
    return Dialplan(rows)


async def save_sql(sql: Sql, rows: Iterable[DialplanRow], table: str = "dialplan") -> int:
    """Add ``rows`` to a table, which is made if it is missing; returns how many are new.

    A row that is there already, word for word, stays as it is.

    Raises:
        TrunklineError: of the store; ``dialplan.id-taken`` if another row has the id: then
            nothing is added; ``dialplan.table`` for a name that is none.
    """
    _check_table(table)
    added = 0
    async with sql.transaction() as work:
        await work.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, "
            "dpid INTEGER NOT NULL, pr INTEGER NOT NULL, match_op INTEGER NOT NULL, "
            "match_exp VARCHAR(255) NOT NULL, match_len INTEGER NOT NULL, "
            "subst_exp VARCHAR(255) NOT NULL, repl_exp VARCHAR(255) NOT NULL, "
            "attrs VARCHAR(255) NOT NULL)"
        )
        for row in rows:
            before = await work.fetch_one(f"SELECT * FROM {table} WHERE id = :id", id=row.id)
            if before is None:
                names = ", ".join(f":{name}" for name in COLUMNS)
                values = dict(zip(COLUMNS, row.values(), strict=True))
                await work.execute(
                    f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES ({names})", **values
                )
                added += 1
            elif row_of(before, 0) != row:
                raise TrunklineError(
                    "dialplan.id-taken",
                    f"sql.{sql.name}: another row of {table} has the id {row.id}; "
                    "nothing was added",
                )
    return added


def _check_table(table: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", table):
        raise TrunklineError("dialplan.table", f"{table[:60]!r} is no name of a table")
