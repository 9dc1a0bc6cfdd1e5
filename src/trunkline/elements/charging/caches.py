"""``CacheSv1``: of a node that caches nothing, and computes its indexes itself.

What is changed counts at once on the node that is told of it, and within a second on the others, so
there is nothing to reload or to clear; what asks for an item is told that there is none. To reload
means here to look for the changes of others now.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.registry import ApiError, method
from trunkline.jsonrpc import Json

__all__ = ["Caches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheIDs:
    """Which caches."""

    tenant: str = ""
    cache_ids: tuple[str, ...] = field(default=(), metadata={"name": "CacheIDs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheItem:
    """Which item, or those that begin so."""

    tenant: str = ""
    cache_id: str = ""
    item_id: str = ""
    item_id_prefix: str = field(default="", metadata={"name": "ItemIDPrefix"})
    group_id: str = ""


class Caches:
    """No caches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @method("CacheSv1.ReloadCache", "CacheSv1.LoadCache", "APIerSv1.ReloadCache")
    async def reload(self, args: CacheIDs) -> Json:
        """Take in what other nodes have changed."""
        await self._engine.rules.refresh()
        return "OK"

    @method("CacheSv1.Clear", "CacheSv1.FlushCache", "CacheSv1.RemoveItem", "CacheSv1.RemoveGroup")
    def clear(self, args: CacheItem) -> Json:
        """Nothing to clear."""
        return "OK"

    @method("APIerSv1.ComputeFilterIndexes", "APIerSv1.ComputeFilterIndexIDs")
    def indexed(self, args: CacheIDs) -> Json:
        """Indexes are those of the profiles that count, always."""
        return "OK"

    @method("CacheSv1.HasItem", "CacheSv1.HasGroup")
    def has(self, args: CacheItem) -> Json:
        """No item is there."""
        return False

    @method("CacheSv1.GetItemIDs", "CacheSv1.GetGroupItemIDs", "CacheSv1.GetItemExpiryTime")
    def items(self, args: CacheItem) -> Json:
        """No item is there."""
        raise ApiError("NOT_FOUND")

    @method("CacheSv1.GetCacheStats")
    def stats(self, args: CacheIDs) -> Json:
        """Nothing in each of those asked for."""
        return {name: {"Items": 0, "Groups": 0} for name in args.cache_ids}

    @method("CacheSv1.PrecacheStatus")
    def precached(self, args: CacheIDs) -> Json:
        """Each of those asked for is ready."""
        return dict.fromkeys(args.cache_ids, "ready")
