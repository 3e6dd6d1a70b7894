"""The tables of the store, as the last migration leaves them."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Float, Index, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

from service.schemas.corrections import MAX_TEXT


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC. SQLite has no time zones: there, the text is without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as the database takes it."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")  # the one type that SQLite numbers itself
_HASH = String(64)

corrections = Table(
    "corrections",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("digest", _HASH, nullable=False),
    Column("frame", Integer, nullable=False),
    Column("model_name", String(MAX_TEXT), nullable=False),
    Column("model_version", String(MAX_TEXT), nullable=False),
    Column("model_sha256", _HASH, nullable=False),
    Column("model_precision", String(8), nullable=False, server_default="float32"),
    Column("answer_plane", String(MAX_TEXT), nullable=False),
    Column("answer_sub_plane", String(MAX_TEXT)),
    Column("answer_abstain_reason", String(32)),
    Column("answer_probability", Float),
    Column("verdict", String(16), nullable=False),
    Column("plane", String(MAX_TEXT)),
    Column("sub_plane", String(MAX_TEXT)),
    Column("study", _HASH),
    Column("patient", _HASH),
    Column("machine", String(MAX_TEXT)),
    Column("protocol", String(MAX_TEXT)),
    Column("who", String(64)),
    Index("corrections_frame", "digest", "frame", "id"),
    Index("corrections_study", "study"),
    Index("corrections_patient", "patient"),
    Index("corrections_at", "at"),
    sqlite_autoincrement=True,  # an id is never given twice, so `?after=` misses nothing
)

kept_frames = Table(
    "kept_frames",
    metadata,
    Column("digest", _HASH, primary_key=True),
    Column("frame", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)
