"""The SIP proxy element: `trunkline.sip.proxy` with sockets, DNS, and a script that decides.

`script` is what a routing script is made of, `request` what its handlers are given, `application`
what they share; `element` puts it together, `harness` does the same without a network.
"""
