"""The Redis Server resource type, for Redis and for Valkey."""

from monitoring.resource_dlls.redis_server.dll import RedisServer

__all__ = ["RedisServer"]
