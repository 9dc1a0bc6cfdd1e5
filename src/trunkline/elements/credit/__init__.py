"""What an exchange's callers pay with: questions to a charging node before and during a call.

``call`` is one call's machine, by ``table``: no clock, no socket. ``client`` feeds the machines of
an exchange from a connection that goes both ways, and from the clock.
"""

from trunkline.elements.credit.call import Admit, Ask, Charge, CreditCall, Done, EndCall
from trunkline.elements.credit.client import ChargedBy, Charging, Credit
from trunkline.elements.credit.table import TABLE, Action, State, Trigger

__all__ = [
    "TABLE",
    "Action",
    "Admit",
    "Ask",
    "Charge",
    "ChargedBy",
    "Charging",
    "Credit",
    "CreditCall",
    "Done",
    "EndCall",
    "State",
    "Trigger",
]
