"""What all stacks have in common, apart from how packets come and go."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from .interface import Settings, StackStats

if TYPE_CHECKING:
    from .association import EndpointAssociation

__all__ = ["Host"]


class Host(ABC):
    """Who waits for room in a send buffer, who is to connect again, and whom to tell of faults."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self.loop: Final = loop
        self.settings: Final = settings
        self.stats: Final = StackStats()
        self._waiting: dict[EndpointAssociation, None] = {}
        self._retries: dict[EndpointAssociation, float] = {}

    @abstractmethod
    def kick(self) -> None:
        """See that what was handed over leaves at the end of this turn."""

    def wait_for_room(self, association: EndpointAssociation) -> None:
        """Resume ``association`` whenever the send buffer may have room again."""
        self._waiting[association] = None

    def retry(self, association: EndpointAssociation, at: float) -> None:
        """Let ``association`` connect at time ``at``."""
        self._retries[association] = at

    def report(self, error: Exception) -> None:
        """Count a handler's exception and tell the loop."""
        self.stats.handler_errors += 1
        self.loop.call_exception_handler(
            {"message": "an SCTP handler raised an exception", "exception": error}
        )

    def resume_waiting(self) -> None:
        """Hand over what now finds room."""
        for association in tuple(self._waiting):
            if not association.resume():
                del self._waiting[association]

    def retry_due(self, now: float) -> None:
        """Connect whose time has come."""
        for association, at in tuple(self._retries.items()):
            if at <= now:
                del self._retries[association]
                association.connect()

    def forget_all(self) -> None:
        """Drop everything that was to be done later."""
        self._waiting.clear()
        self._retries.clear()
