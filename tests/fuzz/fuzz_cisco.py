"""Router configurations: a text is taken, and then printing and reading it again changes nothing,
or it is refused with the located errors. Nothing else may happen."""

from __future__ import annotations

from trunkline.config.cisco import ConfigErrors, Cs7Config, Session, load, render

SEEDS = [
    b"""hostname CountryB
!
interface FastEthernet0/0
 ip address 10.0.5.2 255.255.255.0
 duplex auto
!
cs7 variant itu
cs7 network-indicator international
cs7 point-code 4.5.6
!
cs7 local-peer 1024
 local-ip 10.0.5.2
 local-ip 10.0.7.2
cs7 linkset ToCountryA 1.2.3
 link 0 sctp 10.0.5.1 10.0.7.1 1024 1024
  shutdown
 link 1 sctp 10.0.5.1 1024 1025
!
cs7 route-table system
 update route 7.0.0/3 linkset ToCountryA priority 2
 update route 4.5.0 7.255.0 linkset ToCountryA
 no update route 7.0.0/3 linkset ToCountryA
end
""",
    b"""CountryC#conf t
Enter configuration commands, one per line.  End with CNTL/Z.
CountryC(config)#cs7 point-code 7.7.1
CountryC(config)#cs7 local-peer 1024
CountryC(config-cs7-lp)#local-ip 10.0.6.2
CountryC(config-cs7-lp)#exit
CountryC(config)#cs7 linkset ToCountryB 4.5.6
CountryC(config-cs7-ls)#link 0 sctp 10.0.6.1 1024 1024
CountryC(config)#cs7 route-table system
CountryC(config)#update route 0.0.0/0 linkset ToCountryB
*Jan 01 05:37:28.879: %CS7MTP3-5-DESTSTATUS: Destination 0.0.0 is accessible
CountryC(config-cs7-rt)#^Z
CountryC#show running-config
cs7 variant itu
CountryC# ping cs7 1.2.3 count 5
CountryC#show cs7 route | include 7.7
""",
]


def run(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        config = load([("fuzz.cfg", text)]).config
    except ConfigErrors as refused:
        if not refused.errors or any(problem.location is None for problem in refused.errors):
            raise AssertionError(f"an error without a place: {refused.errors}") from refused
    else:
        _is_fixed_point(config)
    session = Session(Cs7Config())
    for line in text.split("\n"):
        session.help(line)
        session.complete(line)
        session.execute(line)
    _is_fixed_point(session.config)


def _is_fixed_point(config: Cs7Config) -> None:
    printed = render(config)
    again = load([("printed.cfg", printed)]).config
    assert again == config
    assert render(again) == printed
