"""What can be seen of a network's charging nodes without starting them.

Their tariffs, exporters and readers are read as a start reads them, and the addresses that they
listen on are compared. Their ledgers are not opened.
"""

from __future__ import annotations

from trunkline.config.cisco import Location, Problem
from trunkline.errors import TrunklineError
from trunkline.lab.network import Network
from trunkline.sip.transport import written

__all__ = ["check_charging"]

_LISTENS = ("rpc_json", "http", "rpc_bijson")


def check_charging(network: Network) -> tuple[Problem, ...]:
    """Read all that the charging nodes need for a start, and compare where they listen."""
    problems: list[Problem] = []
    owners: dict[tuple[str, int], str] = {}
    for name, settings in network.chargers.items():
        for key in _LISTENS:
            address = getattr(settings, key).address
            if address is None or not address[1]:  # port 0: the system chooses
                continue
            owner = owners.setdefault(address, f"{name}'s {key}")
            if owner != f"{name}'s {key}":
                message = f"{name}: {key}: {written(address)} is {owner} already"
                problems.append(Problem("lab.listen", message, location=_place(network, name, key)))
        found = _load(network, name)
        if found is not None:
            problems.append(found)
    return tuple(problems)


def _load(network: Network, name: str) -> Problem | None:
    from trunkline.elements.charging.process import ChargingPlan  # heavy

    settings = network.chargers[name]
    try:
        ChargingPlan(network.settings, name, settings)
    except TrunklineError as error:
        key = error.message.partition(" ")[0]
        if key not in ("export", "reader"):
            key = "tariff" if settings.tariff else "store"
        return Problem(error.code, f"{name}: {error.message}", location=_place(network, name, key))
    return None


def _place(network: Network, name: str, key: str) -> Location:
    line = network.settings.line("node", name, "charging", key)
    return Location(str(network.settings.path), line)
