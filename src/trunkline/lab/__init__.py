"""Labs: whole networks on one machine, run, checked, drawn, disturbed and demonstrated.

``network``, ``topology`` and ``proxies`` read what a network is; ``check`` and ``graph`` judge and
draw it without running it; ``lifecycle``, ``supervisor`` and ``netns`` run it; ``nodes``,
``client``, ``status`` and ``calls`` talk to its nodes; ``demo`` is the script of the command
``trunkline demo``.
"""
