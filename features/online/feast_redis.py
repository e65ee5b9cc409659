"""What Feast writes Redis with: its own store, which also empties the joined row of a party whose values change."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import redis
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis.client import Pipeline

from features.online.redis_rows import JOINED_FIELD


class JoinedRowsRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc] # Feast brings no types
    """As Feast's, for one server and redis-py: what other clients write would leave joined rows behind."""

    type: Literal["features.online.feast_redis.JoinedRowsRedisOnlineStore"] = (
        "features.online.feast_redis.JoinedRowsRedisOnlineStore"
    )
    redis_type: Literal["redis"] = "redis"
    client: Literal["redis"] = "redis"


class _Pipeline(Pipeline):
    """Whatever changes a hash empties its joined row in the same command, so that none is left behind."""

    def hset(self, name: Any, key: Any = None, value: Any = None, mapping: Any = None, items: Any = None) -> Any:
        return super().hset(name, key, value, (mapping or {}) | {JOINED_FIELD: b""}, items)

    def hdel(self, name: Any, *keys: Any) -> Any:
        return super().hdel(name, *keys, JOINED_FIELD)  # type: ignore[arg-type] # bytes are as good as text


class _Client(redis.Redis):
    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT002 - redis' own
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class JoinedRowsRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc] # as above
    """Feast's store on one Redis server, for one that also holds joined rows."""

    _client: redis.Redis | None = None

    def _get_client(self, online_store_config: RedisOnlineStoreConfig) -> redis.Redis:
        if not self._client:
            servers, parameters = self._parse_connection_string(online_store_config.connection_string)
            if len(servers) != 1:
                raise ValueError(f"The online store is one Redis server, as in 'host:6379,db=0', not {len(servers)}.")
            self._client = _Client(**servers[0], **parameters)
        return self._client

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """As ``online_write_batch``, in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)
