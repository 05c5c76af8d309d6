"""The routes of collections."""

from collections.abc import Iterable
from datetime import datetime

from fastapi import APIRouter, HTTPException
from idiomatic.access import Editor, Key, Session
from idiomatic.database import insert
from idiomatic.links import BaseUrl
from idiomatic.models import Asset, Collection, CollectionAsset, now
from idiomatic.pages import PageSize, Token, decode_token, encode_token
from idiomatic.schemas import (
    AddAnswer,
    AddReport,
    AssetIds,
    CollectionAnswer,
    CollectionOut,
    CollectionPage,
    NewCollection,
    RemoveAnswer,
    RemoveReport,
)
from sqlalchemy import ScalarSelect, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

router = APIRouter(prefix="/v1/collections")


async def load_collection(session: AsyncSession, project_id: str, id: str) -> Collection:
    statement = (
        select(Collection)
        .where(Collection.id == id, Collection.project_id == project_id)
        .options(joinedload(Collection.thumbnail))
    )
    collection = await session.scalar(statement)
    if collection is None:
        raise HTTPException(404, f"There is no collection {id!r} in this project.")
    return collection


@router.get("", response_model_exclude_none=True)
async def list_collections(
    session: Session, key: Key, base_url: BaseUrl, page_size: PageSize = 10, token: Token = None
) -> CollectionPage:
    statement = (
        select(Collection)
        .where(Collection.project_id == key.project_id)
        .order_by(Collection.created_at.desc(), Collection.id.desc())
        .limit(page_size + 1)
        .options(selectinload(Collection.thumbnail))
    )
    if token:
        statement = statement.where(tuple_(Collection.created_at, Collection.id) < decode_token(token))
    collections = (await session.scalars(statement)).all()
    page = collections[:page_size]
    return CollectionPage(
        collections=[CollectionOut.of(collection, base_url) for collection in page],
        next_pagination_token=encode_token(page[-1]) if len(collections) > page_size else None,
    )


@router.post("", response_model_exclude_none=True)
async def create_collection(session: Session, key: Editor, base_url: BaseUrl, new: NewCollection) -> CollectionAnswer:
    collection = Collection(project_id=key.project_id, name=new.name, thumbnail=None)
    session.add(collection)
    await session.commit()
    return CollectionAnswer(collection=CollectionOut.of(collection, base_url))


@router.get("/{id}", response_model_exclude_none=True)
async def get_collection(session: Session, key: Key, base_url: BaseUrl, id: str) -> CollectionAnswer:
    collection = await load_collection(session, key.project_id, id)
    return CollectionAnswer(collection=CollectionOut.of(collection, base_url))


@router.put("/{id}/assets", response_model_exclude_none=True)
async def add_assets(session: Session, key: Editor, base_url: BaseUrl, id: str, body: AssetIds) -> AddAnswer:
    collection = await load_collection(session, key.project_id, id)
    wanted = list(dict.fromkeys(body.asset_ids))
    await check_assets(session, key.project_id, wanted)
    # In one order, so that two requests with the same assets do not wait for each other on PostgreSQL.
    rows = [{"collection_id": id, "asset_id": asset_id} for asset_id in sorted(wanted)]
    statement = insert(CollectionAsset).on_conflict_do_nothing().returning(CollectionAsset.asset_id)
    added = set(await session.scalars(statement, rows))
    if added:
        # The database adds: another request may have changed the count since we read it.
        collection.asset_count = Collection.asset_count + count_live(added)
        collection.updated_at = now()
        await session.flush()
        await session.refresh(collection, ["asset_count"])
    await session.commit()
    report = AddReport(
        added=[asset_id for asset_id in wanted if asset_id in added],
        unchanged=[asset_id for asset_id in wanted if asset_id not in added],
    )
    return AddAnswer(collection=CollectionOut.of(collection, base_url), report=report)


@router.delete("/{id}/assets", response_model_exclude_none=True)
async def remove_assets(session: Session, key: Editor, base_url: BaseUrl, id: str, body: AssetIds) -> RemoveAnswer:
    collection = await load_collection(session, key.project_id, id)
    wanted = list(dict.fromkeys(body.asset_ids))
    await lock_assets(session, key.project_id, wanted, is_shared=True)
    members = (CollectionAsset.collection_id == id, CollectionAsset.asset_id.in_(wanted))
    removed = set(await session.scalars(delete(CollectionAsset).where(*members).returning(CollectionAsset.asset_id)))
    if removed:
        collection.asset_count = Collection.asset_count - count_live(removed)
        collection.updated_at = now()
        if collection.thumbnail_id in removed:
            collection.thumbnail_id = None
        await session.flush()
        await session.refresh(collection, ["asset_count"])
    await session.commit()
    report = RemoveReport(
        removed=[asset_id for asset_id in wanted if asset_id in removed],
        unchanged=[asset_id for asset_id in wanted if asset_id not in removed],
    )
    return RemoveAnswer(collection=CollectionOut.of(collection, base_url), report=report)


async def check_assets(session: AsyncSession, project_id: str, ids: list[str]) -> None:
    known = await lock_assets(session, project_id, ids, is_shared=True)
    if missing := [id for id in ids if id not in known or known[id] is not None]:
        raise HTTPException(404, {"message": "There are no such assets in this project.", "missing": missing})


async def lock_assets(
    session: AsyncSession, project_id: str, ids: list[str], *, is_shared: bool
) -> dict[str, datetime | None]:
    """Those that there are, and when each was put into the trash.

    None goes there or comes back before the commit, since counts depend on it. PostgreSQL locks row by row: always in
    one order, and before memberships and collections, so that no two requests wait for each other.
    """
    statement = (
        select(Asset.id, Asset.deleted_at, Asset.project_id)
        .where(Asset.id.in_(ids))
        .order_by(Asset.id)
        .with_for_update(read=is_shared, key_share=not is_shared)
    )
    # As a condition, SQLite would look through the index of the whole project.
    return {row.id: row.deleted_at for row in await session.execute(statement) if row.project_id == project_id}


def count_live(ids: Iterable[str]) -> ScalarSelect[int]:
    """How many are not in the trash. SQLite has no locks of rows, so it looks when it writes."""
    return select(func.count()).where(Asset.id.in_(ids), Asset.deleted_at.is_(None)).scalar_subquery()
