"""What the engine refuses, in the reference's words."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from trunkline.charging.charges import AccountError
from trunkline.charging.event import EventError
from trunkline.charging.sessions import SessionError
from trunkline.elements.charging.registry import ApiError
from trunkline.rating.errors import RatingError

__all__ = ["refusing"]

_T = TypeVar("_T")


async def refusing(step: Awaitable[_T]) -> _T:
    """What a step comes to; what it cannot do, in the reference's words."""
    try:
        return await step
    except (SessionError, RatingError) as problem:
        raise ApiError(f"RALS_ERROR:{problem.reference or problem.message}") from problem
    except AccountError as problem:
        raise ApiError(f"RALS_ERROR:{problem.reference}") from problem
    except EventError as problem:
        if problem.reference.startswith("MANDATORY"):
            raise ApiError(problem.reference) from problem
        raise ApiError(f"CHARGERS_ERROR:{problem.answer}") from problem
