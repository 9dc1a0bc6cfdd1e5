"""MTP level 3: the network layer of SS7 (ITU-T Q.704, Q.707, Q.755).

Start with :class:`.router.Router`. The files follow the standard's blocks:

- messages: :mod:`.message` (SIO and routing label), :mod:`.management` (H0 and H1), :mod:`.slt`
  (link tests), :mod:`.traffic_test` (the MTP's tester);
- message handling (Q.704 2): :mod:`.traffic`, with :mod:`.routes` (the table and its decisions),
  :mod:`.linkset` (load sharing), :mod:`.loops` (circles in the tables) and :mod:`.explain`;
- traffic management (Q.704 5 to 7): :mod:`.changeover`;
- link management (Q.704 12): :mod:`.link_management`;
- route management (Q.704 13): :mod:`.route_management`;
- what they share: :mod:`.core`, :mod:`.settings`, :mod:`.states`, :mod:`.events`, :mod:`.counters`.
"""
