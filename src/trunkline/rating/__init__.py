"""Rating: what a call, a message or a data session costs, exactly, and why."""

from trunkline.rating.errors import RatingError, TariffError
from trunkline.rating.tariff import Tariff

__all__ = ["RatingError", "Tariff", "TariffError"]
