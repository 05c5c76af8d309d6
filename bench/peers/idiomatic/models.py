"""The tables."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> datetime:
    """UTC, without a zone: SQLite keeps none."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {list[str]: JSON, list[dict[str, Any]]: JSON(none_as_null=True)}


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: f"proj_{uuid4().hex}")
    team_id: Mapped[str] = mapped_column(default=lambda: f"team_{uuid4().hex}")
    name: Mapped[str]


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: f"api_{uuid4().hex}")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    secret_hash: Mapped[str]
    role: Mapped[str]
    revoked_at: Mapped[datetime | None]


class CollectionAsset(Base):
    __tablename__ = "collection_assets"

    collection_id: Mapped[str] = mapped_column(ForeignKey("collections.id"), primary_key=True)
    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id"), primary_key=True, index=True)
    added_at: Mapped[datetime] = mapped_column(default=now)


class Asset(Base):
    """One in the trash keeps its memberships, but no collection counts it. `sha256` names its files."""

    __tablename__ = "assets"
    __table_args__ = (Index("ix_assets_newest", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: f"asset_{uuid4().hex}")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    author_id: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    type: Mapped[str]
    mime_type: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int]
    format: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    generator: Mapped[str | None]
    prompt: Mapped[str | None]
    seed: Mapped[str | None]
    ingredients: Mapped[list[dict[str, Any]] | None]
    concepts: Mapped[list[dict[str, Any]] | None]
    model_id: Mapped[str | None]
    copied_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class Collection(Base):
    __tablename__ = "collections"
    __table_args__ = (Index("ix_collections_newest", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: f"collection_{uuid4().hex}")
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    thumbnail_id: Mapped[str | None] = mapped_column(ForeignKey("assets.id"))
    asset_count: Mapped[int] = mapped_column(default=0)
    model_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    thumbnail: Mapped[Asset | None] = relationship()
