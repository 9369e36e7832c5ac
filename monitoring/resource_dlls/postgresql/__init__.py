"""The PostgreSQL Server resource type."""

from monitoring.resource_dlls.postgresql.dll import PostgreSQLServer

__all__ = ["PostgreSQLServer"]
