"""ISUP, the ISDN User Part: telephone calls over SS7 (ITU-T Q.761 to Q.764, causes of Q.850).

``codec`` and ``messages`` hold the message format, ``parameters``, ``number`` and ``cause`` the
typed views of parameters; ``call`` is the machine of one exchange, ``table`` what it decides by,
``circuits`` what it decides about.
"""
