"""Events of the machines as lines of the router's log, in the router family's words."""

from __future__ import annotations

from trunkline.config.cisco import Cs7Config
from trunkline.elements.log import RouterLog
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3 import events as mtp3

__all__ = ["report"]


def report(event: object, config: Cs7Config, log: RouterLog) -> None:
    """Write what ``event`` means to the log; events of no interest to an operator write nothing.

    Refused M2PA messages are not here but in ``trunkline.elements.discards``.
    """
    match event:
        case mtp3.DestinationStatus(prefix, status):
            point_code = config.format_pc(prefix.pc)
            log("CS7MTP3", 5, "DESTSTATUS", f"Destination {point_code} is {status.value}")
        case mtp3.LinksetStateChanged(name, state):
            log("CS7MTP3", 5, "LSSTATUS", f"Linkset {name} is {state.value}")
        case mtp3.LinkStateChanged(slink, state, reason):
            why = f" ({reason})" if reason else ""
            text = f"Link {slink.slc} of linkset {slink.linkset.name} is {state.value}{why}"
            log("CS7MTP3", 5, "LINKSTATUS", text)
        case mtp3.TestFailed(slink):
            log("CS7MTP3", 4, "SLTFAIL", f"Link {slink.name}: signalling link test failed twice")
        case mtp3.ChangeoverStarted(slink, _):
            log("CS7MTP3", 5, "CHANGEOVER", f"Link {slink.name}: changeover begins")
        case mtp3.ChangeoverCompleted(slink, retrieved, acknowledged):
            how = "acknowledged" if acknowledged else "not acknowledged"
            text = f"Link {slink.name}: changeover {how}, {retrieved} messages retrieved"
            log("CS7MTP3", 5, "CHANGEOVER", text)
        case mtp3.MessagesLost(slink, count, reason):
            where = "" if slink is None else f"Link {slink.name}: "
            log("CS7MTP3", 4, "MSGLOST", f"{where}{count} messages lost: {reason}")
        case mtp3.Discarded(code, detail, slink, count):
            where = "" if slink is None else f"Link {slink.name}: "
            log("CS7MTP3", 4, "DISCARD", f"{where}{code}: {detail} ({count})")
        case mtp3.ManagementReceived(slink, name, acted, detail):
            told = detail if acted else "not acted on in this version"
            text = f"Link {slink.name}: {name} {told}"
            log("CS7MTP3", 6 if acted else 4, "MGMT", text.rstrip())
        case m2pa.CongestionOnset(level):
            log("CS7M2PA", 4, "CONGESTION", f"transmit congestion, level {level}")
        case m2pa.CongestionAbated(level):
            log("CS7M2PA", 5, "CONGESTION", f"transmit congestion abates to level {level}")
        case _:
            pass  # link tests passed, diversions, route states: `show` has them
