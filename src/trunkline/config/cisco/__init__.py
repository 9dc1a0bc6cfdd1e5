"""Router configurations of the "cs7" family: read, checked, changed, printed; pure text in and out.

The family is the one of the seed course: IOS routers that forward SS7 over IP. One command table
(:data:`COMMANDS`) serves the file reader (:func:`load`), the shell (:class:`Session`), its ``?``
help and completion, the ``no`` forms, ``show running-config`` (:func:`render`) and
``docs/router-commands.md``. Standard library only; no terminal and no socket here.

Left out: what the table does not list. Lines of IOS that have nothing to do with SS7 are reported
as ignored, and unknown ``cs7`` lines are errors.
"""

from __future__ import annotations

from trunkline.config.cisco import changes
from trunkline.config.cisco.changes import Change, diff
from trunkline.config.cisco.check import Findings, check
from trunkline.config.cisco.commands import COMMANDS
from trunkline.config.cisco.grammar import Completion
from trunkline.config.cisco.loader import Ignored, LoadResult, load
from trunkline.config.cisco.problems import ConfigErrors, Problem
from trunkline.config.cisco.render import render, running_config
from trunkline.config.cisco.session import Action, Outcome, Session, TextFilter
from trunkline.config.cisco.table import Args, Command, Exec, Mode, Scope
from trunkline.config.cisco.tree import (
    DEFAULT_HOSTNAME,
    DEFAULT_NETWORK_INDICATOR,
    DEFAULT_PRIORITY,
    NETWORK_INDICATORS,
    Cs7Config,
    Interface,
    InterfaceAddress,
    Link,
    Linkset,
    LocalPeer,
    Location,
    Route,
)

__all__ = [
    "COMMANDS",
    "DEFAULT_HOSTNAME",
    "DEFAULT_NETWORK_INDICATOR",
    "DEFAULT_PRIORITY",
    "NETWORK_INDICATORS",
    "Action",
    "Args",
    "Change",
    "Command",
    "Completion",
    "ConfigErrors",
    "Cs7Config",
    "Exec",
    "Findings",
    "Ignored",
    "Interface",
    "InterfaceAddress",
    "Link",
    "Linkset",
    "LoadResult",
    "LocalPeer",
    "Location",
    "Mode",
    "Outcome",
    "Problem",
    "Route",
    "Scope",
    "Session",
    "TextFilter",
    "changes",
    "check",
    "diff",
    "load",
    "render",
    "running_config",
]
