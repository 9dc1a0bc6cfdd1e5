"""Words that start lines which are not ours to read: those of IOS, and cs7 commands we lack."""

from __future__ import annotations

__all__ = ["FAMILY_WORDS", "IOS_WORDS"]

_IOS = """
aaa access-list alias archive arp banner boot boot-end-marker boot-start-marker bridge call card
cdp class-map clns clock config-register control-plane controller crypto default dial-peer dialer
dot11 enable errdisable event exception file frame-relay gatekeeper gateway hw-module interface ip
ipv6 ipx isdn key kron l2tp-class line lldp logging login mac-address-table map-class map-list
memory memory-size mmi monitor mpls multilink netconf network-clock network-clock-participate
network-clock-select ntp parser password policy-map port-channel power privilege process-max-time
prompt radius-server redundancy resource rmon route-map router scheduler security service
snmp-server sntp spanning-tree subscriber tacacs-server tftp-server time-range track username
version vlan vpdn vrf vtp webvpn xconnect
"""

IOS_WORDS = frozenset(_IOS.split())
"""First words of global IOS commands: at the margin they end a cs7 mode and are ignored."""

_FAMILY = """
accounting as asp capability-pc clli description display-name fast-restart group gtt gws host
inhibit instance large-msu-support log m3ua mapua mated-sg max-dynamic-routes mlr mtp3
multi-instance national-options network-name offload paklog pc-conversion profile prompt qos
remote-congestion-msgs sccp secondary-pc sgmp sms snmp sua tcap uninhibit util-abate
util-plan-capacity util-sample-interval util-threshold
"""

FAMILY_WORDS = frozenset(_FAMILY.split())
"""Second words of cs7 commands that the router family has and Trunkline does not read."""
