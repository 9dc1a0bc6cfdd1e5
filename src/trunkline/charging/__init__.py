"""Charging: who pays for a call, a message or a data session, and how much is left.

What a usage costs is the rating room's business. Here are the accounts that pay: their balances,
what may be taken from which, the sessions that reserve before they take, the records that remain,
and the rules by which an operator chooses (filters, attributes, chargers, routes). All of it is
values and functions of values: what is stored, and when, is decided above.
"""
