r"""Lines of ``cgr-console`` and options of ``cgr-loader``.

A line is a word and what goes with it::

    line  = verb [blanks word] *( blanks key "=" value )
    value = '"' *( character / "\\" character ) '"'      ; text
          / a JSON array, object, number, true, false, null
          / 1*( character but blank and quotes )          ; text

The word is one of the console's (``accounts``, ``balance_add`` …), or a method by its own name,
``APIerSv2.GetAccounts``. Keys are those of the method and go to it as they are.

Left out: ``parse`` and ``help`` of the console, which ask no server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, TypeAlias

from trunkline.config.cgrates.problems import closest, shown
from trunkline.errors import DecodeError, TrunklineError

__all__ = [
    "COST",
    "DURATIONS",
    "PINGS",
    "VERBS",
    "Command",
    "LoaderOptions",
    "parse_command",
    "parse_loader",
]

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

COST: Final = "cost"

VERBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "account": "APIerSv2.GetAccount",
        "account_actionplan_get": "APIerSv1.GetAccountActionPlan",
        "account_remove": "APIerSv1.RemoveAccount",
        "account_set": "APIerSv2.SetAccount",
        "account_trigger_add": "APIerSv1.AddAccountActionTriggers",
        "account_trigger_remove": "APIerSv1.RemoveAccountActionTriggers",
        "account_trigger_reset": "APIerSv1.ResetAccountActionTriggers",
        "account_trigger_set": "APIerSv1.SetAccountActionTriggers",
        "account_triggers": "APIerSv1.GetAccountActionTriggers",
        "accounts": "APIerSv2.GetAccounts",
        "action_execute": "APIerSv1.ExecuteAction",
        "actionplan_get": "APIerSv1.GetActionPlan",
        "actionplan_remove": "APIerSv1.RemoveActionPlan",
        "actionplan_set": "APIerSv1.SetActionPlan",
        "actions": "APIerSv2.GetActions",
        "actions_remove": "APIerSv1.RemoveActions",
        "active_sessions": "SessionSv1.GetActiveSessions",
        "attributes": "APIerSv1.GetAttributeProfile",
        "attributes_for_event": "AttributeSv1.GetAttributeForEvent",
        "attributes_ids": "APIerSv1.GetAttributeProfileIDs",
        "attributes_process_event": "AttributeSv1.ProcessEvent",
        "attributes_profile": "APIerSv1.GetAttributeProfile",
        "attributes_profile_ids": "APIerSv1.GetAttributeProfileIDs",
        "attributes_profile_rem": "APIerSv1.RemoveAttributeProfile",
        "attributes_profile_set": "APIerSv2.SetAttributeProfile",
        "attributes_remove": "APIerSv1.RemoveAttributeProfile",
        "attributes_set": "APIerSv2.SetAttributeProfile",
        "balance_add": "APIerSv1.AddBalance",
        "balance_debit": "APIerSv1.DebitBalance",
        "balance_remove": "APIerSv1.RemoveBalances",
        "balance_set": "APIerSv1.SetBalance",
        "cache_clear": "CacheSv1.Clear",
        "cache_group_item_ids": "CacheSv1.GetGroupItemIDs",
        "cache_has_group": "CacheSv1.HasGroup",
        "cache_has_item": "CacheSv1.HasItem",
        "cache_item_expiry_time": "CacheSv1.GetItemExpiryTime",
        "cache_item_ids": "CacheSv1.GetItemIDs",
        "cache_precache_status": "CacheSv1.PrecacheStatus",
        "cache_reload": "CacheSv1.ReloadCache",
        "cache_remove_group": "CacheSv1.RemoveGroup",
        "cache_remove_item": "CacheSv1.RemoveItem",
        "cache_stats": "CacheSv1.GetCacheStats",
        "cdrs": "CDRsV1.GetCDRs",
        "cdrs_export": "APIerSv1.ExportCDRs",
        "chargers": "APIerSv1.GetChargerProfile",
        "chargers_for_event": "ChargerSv1.GetChargersForEvent",
        "chargers_ids": "APIerSv1.GetChargerProfileIDs",
        "chargers_process_event": "ChargerSv1.ProcessEvent",
        "chargers_profile": "APIerSv1.GetChargerProfile",
        "chargers_profile_ids": "APIerSv1.GetChargerProfileIDs",
        "chargers_profile_rem": "APIerSv1.RemoveChargerProfile",
        "chargers_profile_set": "APIerSv1.SetChargerProfile",
        "chargers_remove": "APIerSv1.RemoveChargerProfile",
        "chargers_set": "APIerSv1.SetChargerProfile",
        COST: "APIerSv1.GetCost",
        "datacost": "APIerSv1.GetDataCost",
        "debit": "Responder.Debit",
        "debit_max": "Responder.MaxDebit",
        "destination_set": "APIerSv1.SetDestination",
        "destinations": "APIerSv2.GetDestinations",
        "filter": "APIerSv1.GetFilter",
        "filter_ids": "APIerSv1.GetFilterIDs",
        "filter_remove": "APIerSv1.RemoveFilter",
        "filter_set": "APIerSv1.SetFilter",
        "get_load_times": "APIerSv1.GetLoadTimes",
        "load_history": "APIerSv1.GetLoadHistory",
        "load_tp_from_folder": "APIerSv1.LoadTariffPlanFromFolder",
        "load_tp_from_stordb": "APIerSv1.LoadTariffPlanFromStorDb",
        "maxduration": "Responder.GetMaxSessionTime",
        "maxusage": "APIerSv1.GetMaxUsage",
        "passive_sessions": "SessionSv1.GetPassiveSessions",
        "ratingprofile": "APIerSv1.GetRatingProfile",
        "ratingprofile_ids": "APIerSv1.GetRatingProfileIDs",
        "ratingprofile_rem": "APIerSv1.RemoveRatingProfile",
        "ratingprofile_set": "APIerSv1.SetRatingProfile",
        "route_profile_ids": "APIerSv1.GetRouteProfileIDs",
        "routes": "RouteSv1.GetRoutes",
        "routes_profile": "APIerSv1.GetRouteProfile",
        "routes_profile_remove": "APIerSv1.RemoveRouteProfile",
        "routes_profile_set": "APIerSv1.SetRouteProfile",
        "routes_profiles_for_event": "RouteSv1.GetRouteProfilesForEvent",
        "scheduler_execute": "SchedulerSv1.ExecuteActions",
        "scheduler_queue": "APIerSv1.GetScheduledActions",
        "scheduler_reload": "SchedulerSv1.Reload",
        "session_authorize_event": "SessionSv1.AuthorizeEventWithDigest",
        "session_force_disconnect": "SessionSv1.ForceDisconnect",
        "session_initiate": "SessionSv1.InitiateSessionWithDigest",
        "session_process_cdr": "SessionSv1.ProcessCDR",
        "session_process_message": "SessionSv1.ProcessMessage",
        "session_terminate": "SessionSv1.TerminateSession",
        "session_update": "SessionSv1.UpdateSession",
        "sharedgroup": "APIerSv1.GetSharedGroup",
        "sleep": "CoreSv1.Sleep",
        "status": "CoreSv1.Status",
        "supplier_profiles_for_event": "SupplierSv1.GetSupplierProfilesForEvent",
        "suppliers": "SupplierSv1.GetSuppliers",
        "trigger_remove": "APIerSv1.RemoveActionTrigger",
        "trigger_set": "APIerSv1.SetActionTrigger",
        "triggers": "APIerSv1.GetActionTriggers",
    }
)
"""The console's words and the methods behind them, the older words among them."""

_SESSIONS: Final = frozenset({"Usage", "DurationIndex", "MaxRateUnit", "DebitInterval"})
_COSTS: Final = frozenset({"Usage", "GroupIntervalStart", "RateIncrement", "RateUnit"})
DURATIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        COST: _COSTS,
        "datacost": _COSTS,
        "account_triggers": frozenset({"MinSleep"}),
        "accounts": frozenset({"MinSleep"}),
        "active_sessions": _SESSIONS,
        "attributes_process_event": frozenset({"Usage"}),
        "cdrs": _COSTS,
        "chargers_process_event": frozenset({"Usage"}),
        "passive_sessions": _SESSIONS,
        "triggers": frozenset({"MinSleep"}),
    }
)
"""The members of a word's answer that are shown as ``1m0s``, where the wire has nanoseconds."""

_MONEY: Final[Mapping[str, Value]] = MappingProxyType({"BalanceType": "*monetary"})
_UNSAID: Final[Mapping[str, Mapping[str, Value]]] = MappingProxyType(
    {"balance_add": _MONEY, "balance_debit": _MONEY, "balance_set": _MONEY}
)
"""What a word means where its line does not say it."""

PINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "CoreSv1",
        "apier": "APIerSv1",
        "attributes": "AttributeSv1",
        "caches": "CacheSv1",
        "cdrs": "CDRsV1",
        "chargers": "ChargerSv1",
        "cores": "CoreSv1",
        "rals": "RALsV1",
        "resources": "ResourceSv1",
        "responder": "Responder",
        "routes": "RouteSv1",
        "schedulers": "SchedulerSv1",
        "sessions": "SessionSv1",
        "stats": "StatSv1",
        "suppliers": "SupplierSv1",
        "thresholds": "ThresholdSv1",
    }
)
"""What ``ping`` takes: the name of a subsystem."""

_VERB = re.compile(r"\s*([\w.]+)(?:\s+(\w+)(?=\s|\Z))?")
_KEY = re.compile(r"\s*([^\W\d]\w*)\s*=\s*")
_WORD = re.compile(r"[^\s\"'=]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z")  # 0049 is a destination
_LONGEST: Final = 40  # digits of a number
_QUOTES: Final = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“"}
_CONSTANTS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Command:
    """What a line asks for."""

    verb: str
    method: str
    arguments: Mapping[str, Value]


_NEEDLESS: Final = ("setup_cgr_db.sh", "cgr-migrator")
_WHY_NEEDLESS: Final = (
    "nothing of the kind is needed: whoever opens a database here makes the tables that are missing"
    " in it, and there are no versions of data to set"
)


def parse_command(line: str) -> Command:
    """Read a line.

    Raises:
        DecodeError: ``console.…``; ``offset`` is the column of the mistake, from 0.
    """
    program = line.split(maxsplit=1)[0].rpartition("/")[2] if line.strip() else ""
    if program in _NEEDLESS:
        raise DecodeError("console.needless", f"{program}: {_WHY_NEEDLESS}", offset=0)
    found = _VERB.match(line)
    if found is None:
        raise _error("console.empty", 0, "no command; the console's words: " + ", ".join(VERBS))
    verb, word = found[1], found[2] or ""
    if verb == "ping":
        if word not in PINGS:
            hint = closest(word, [*PINGS], "subsystems: " + ", ".join(filter(None, PINGS)))
            raise _error("console.verb", found.start(2), f"no subsystem {shown(word)!r}; {hint}")
        method = f"{PINGS[word]}.Ping"
    else:
        method = VERBS.get(verb, verb if "." in verb else "")
        if not method:
            near = get_close_matches(verb, [*VERBS, "ping"], 5)
            hint = f"near it: {', '.join(near)}" if near else "`help` lists them"
            raise _error("console.verb", found.start(1), f"no command {shown(verb)!r}; {hint}")
        if word:
            message = f'{shown(word)!r} stands alone; write {shown(word)}="value"'
            raise _error("console.syntax", found.start(2), message)
    arguments = _arguments(line, found.end())
    said = {name.lower() for name in arguments}
    unsaid = _UNSAID.get(verb, {})
    arguments |= {name: value for name, value in unsaid.items() if name.lower() not in said}
    return Command(verb, method, arguments)


def _arguments(line: str, position: int) -> dict[str, Value]:
    arguments: dict[str, Value] = {}
    while line[position:].strip():
        key = _KEY.match(line, position)
        if key is None:
            blanks = len(line[position:]) - len(line[position:].lstrip())
            raise _error(
                "console.syntax", position + blanks, 'Key="value" is due, with blanks between'
            )
        name = key[1]
        if name in arguments:
            raise _error("console.twice", key.start(1), f"{shown(name)} is given twice")
        arguments[name], position = _value(line, key.end(), name)
    return arguments


def _value(line: str, start: int, name: str) -> tuple[Value, int]:
    first = line[start : start + 1]
    if first in _QUOTES:
        closing, at, text = _QUOTES[first], start + 1, ""
        while at < len(line) and line[at] != closing:
            at += line[at] == "\\"
            text += line[at : at + 1]
            at += 1
        if at >= len(line):
            raise _error("console.quote", start, f"the quote before {shown(name)} is not closed")
        return text, at + 1
    if first and first in "[{":
        try:
            value, end = _DECODER.raw_decode(line, start)
        except (ValueError, RecursionError):
            message = f"{shown(name)}: that is no JSON"
            raise _error("console.value", start, message) from None
        return value, end
    word = _WORD.match(line, start)
    if word is None:
        raise _error("console.value", start, f'{shown(name)} has no value; an empty one is ""')
    text = word[0]
    if text in _CONSTANTS:
        return _CONSTANTS[text], word.end()
    if _NUMBER.match(text) and len(text) <= _LONGEST:
        return json.loads(text), word.end()
    return text, word.end()


def _error(code: str, column: int, message: str) -> DecodeError:
    return DecodeError(code, f"column {column + 1}: {message}", offset=column)


# --- cgr-loader


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """What ``cgr-loader`` was told, as far as it means something here."""

    path: str = "./"
    verbose: bool = False
    flush: bool = False
    dry_run: bool = False
    timezone: str = ""
    store: str = ""


_SWITCHES: Final = {
    "verbose": "verbose",
    "flush_stordb": "flush",
    "dry_run": "dry_run",
    "recursive": "",
    "disable_reverse_mappings": "",
}
_TEXTS: Final = {
    "path": "path",
    "timezone": "timezone",
    "store": "store",
    "import_id": "",
    "tpid": "",
    "caching": "",
    "caches_address": "",
    "scheduler_address": "",
    "rpc_encoding": "",
    "api_key": "",
    "route_id": "",
}
_TRUTH: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_ELSEWHERE: Final = ("datadb_", "stordb_", "redis_", "dbdata_", "from_stordb", "to_stordb")


def parse_loader(words: Sequence[str]) -> LoaderOptions:
    """Read options as Go's ``flag`` does: ``-path=DIR``, ``-path DIR``, ``--verbose``.

    Those that only concern the reference's caches and identifiers are taken and mean nothing.

    Raises:
        TrunklineError: ``loader.option``, ``loader.value``.
    """
    found: dict[str, str | bool] = {}
    waiting = [*words]
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name:
            raise TrunklineError("loader.option", f"{word[:60]!r} is no option; the folder: -path")
        if name in _SWITCHES:
            if equals and value not in _TRUTH:
                raise TrunklineError("loader.value", f"-{name}: {value[:60]!r}: true or false")
            found[_SWITCHES[name]] = _TRUTH[value] if equals else True
        elif name in _TEXTS:
            if not equals:
                if not waiting:
                    raise TrunklineError("loader.value", f"-{name} needs a value")
                value = waiting.pop(0)
            found[_TEXTS[name]] = value
        elif name == "exec":
            raise TrunklineError("loader.option", f"-exec is cgr-migrator's: {_WHY_NEEDLESS}")
        elif name.startswith(_ELSEWHERE):
            raise TrunklineError(
                "loader.option",
                f"-{name[:60]} has no meaning here: there is no second database to set up or to"
                " copy from; -store URL says where tariffs are kept",
            )
        else:
            known = ", ".join(f"-{each}" for each in (*_SWITCHES, *_TEXTS))
            raise TrunklineError("loader.option", f"no option -{name[:60]}; there are: {known}")
    found.pop("", None)
    return LoaderOptions(**found)  # type: ignore[arg-type]  # each by its own kind above
