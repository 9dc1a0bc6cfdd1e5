"""The call record as a value: for those who make or read one without a database at hand.

Apart from ``trunkline.store.calls`` so that a node without an exchange starts without SQLAlchemy.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallRecord"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What is known of a call when it has ended.

    ``direction`` is ``"outgoing"`` or ``"incoming"`` as the exchange saw it; ``cause`` and
    ``location`` are the Q.850 values of the release; ``opc`` and ``dpc`` are those of the IAM, so
    that the two exchanges' records of one call agree; ``dpc`` and ``cic`` are ``None`` for a call
    that found no circuit.
    """

    id: str
    exchange: str
    direction: str
    calling: str
    called: str
    start: float
    answer: float | None
    end: float
    cause: int
    location: int
    opc: int
    dpc: int | None
    cic: int | None
    trace: str
    cost: str | None = None
    """Exact, in the tariff's unit of money; ``None`` for a call that was not priced."""
    rating: str | None = None
    """How the cost came about, or why there is none: JSON, see ``trunkline.rating.result``."""
    charging: str | None = None
    """What charging was asked and answered: JSON, see ``trunkline.elements.credit.Charge``."""

    @property
    def duration(self) -> float:
        """Seconds from the answer to the end; 0 for a call that was never answered."""
        return 0.0 if self.answer is None else self.end - self.answer
