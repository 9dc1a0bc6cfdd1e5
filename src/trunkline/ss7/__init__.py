"""Signalling System No. 7: one package for each protocol, and point codes.

``m2pa`` (level 2 over SCTP), ``mtp3`` (the network level) and ``isup`` (calls) are machines without
sockets, clocks or threads: octets and times go in, octets and events come out.
"""
