"""Dialogs and what goes on in them: RFC 3261 sections 12 to 15 and what stands on them."""

from trunkline.sip.dialog.dialog import Dialog, DialogId, DialogState, Role

__all__ = ["Dialog", "DialogId", "DialogState", "Role"]
