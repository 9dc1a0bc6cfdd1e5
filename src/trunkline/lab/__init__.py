"""Labs: whole networks on one machine, run, checked, drawn, disturbed and demonstrated.

``network`` and ``topology`` read what a network is; ``check`` and ``graph`` judge and draw it
without running it; ``lifecycle``, ``supervisor`` and ``netns`` run it; ``client``, ``status`` and
``calls`` talk to its nodes; ``demo`` is the script of ``trunkline demo``.
"""
