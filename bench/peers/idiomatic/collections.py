"""The routes."""

import base64
import binascii
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from idiomatic.access import Editor, Key, Session
from idiomatic.models import Asset, Collection, CollectionAsset, now
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
from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

router = APIRouter(prefix="/v1/collections")


def encode_token(collection: Collection) -> str:
    return base64.urlsafe_b64encode(f"{collection.created_at.isoformat()} {collection.id}".encode()).decode()


def decode_token(token: str) -> tuple[datetime, str]:
    try:
        created_at, id = base64.urlsafe_b64decode(token).decode().split(" ")
        return datetime.fromisoformat(created_at), id
    except (ValueError, binascii.Error) as error:
        raise HTTPException(400, "paginationToken: this is not a token of ours.") from error


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
    session: Session,
    key: Key,
    page_size: Annotated[int, Query(alias="pageSize", ge=1, le=100)] = 10,
    token: Annotated[str | None, Query(alias="paginationToken")] = None,
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
        collections=[CollectionOut.of(collection) for collection in page],
        next_pagination_token=encode_token(page[-1]) if len(collections) > page_size else None,
    )


@router.post("", response_model_exclude_none=True)
async def create_collection(session: Session, key: Editor, new: NewCollection) -> CollectionAnswer:
    collection = Collection(project_id=key.project_id, name=new.name, thumbnail=None)
    session.add(collection)
    await session.commit()
    return CollectionAnswer(collection=CollectionOut.of(collection))


@router.get("/{id}", response_model_exclude_none=True)
async def get_collection(session: Session, key: Key, id: str) -> CollectionAnswer:
    collection = await load_collection(session, key.project_id, id)
    return CollectionAnswer(collection=CollectionOut.of(collection))


@router.put("/{id}/assets", response_model_exclude_none=True)
async def add_assets(session: Session, key: Editor, id: str, body: AssetIds) -> AddAnswer:
    collection = await load_collection(session, key.project_id, id)
    wanted = list(dict.fromkeys(body.asset_ids))
    await check_assets(session, key.project_id, wanted)
    rows = [{"collection_id": id, "asset_id": asset_id} for asset_id in wanted]
    statement = insert(CollectionAsset).on_conflict_do_nothing().returning(CollectionAsset.asset_id)
    added = set(await session.scalars(statement, rows))
    if added:
        # The database adds: another request may have changed the count since we read it.
        collection.asset_count = Collection.asset_count + len(added)
        collection.updated_at = now()
        await session.flush()
        await session.refresh(collection, ["asset_count"])
    await session.commit()
    report = AddReport(
        added=[asset_id for asset_id in wanted if asset_id in added],
        unchanged=[asset_id for asset_id in wanted if asset_id not in added],
    )
    return AddAnswer(collection=CollectionOut.of(collection), report=report)


@router.delete("/{id}/assets", response_model_exclude_none=True)
async def remove_assets(session: Session, key: Editor, id: str, body: AssetIds) -> RemoveAnswer:
    collection = await load_collection(session, key.project_id, id)
    wanted = list(dict.fromkeys(body.asset_ids))
    members = (CollectionAsset.collection_id == id, CollectionAsset.asset_id.in_(wanted))
    removed = set(await session.scalars(delete(CollectionAsset).where(*members).returning(CollectionAsset.asset_id)))
    if removed:
        collection.asset_count = Collection.asset_count - len(removed)
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
    return RemoveAnswer(collection=CollectionOut.of(collection), report=report)


async def check_assets(session: AsyncSession, project_id: str, ids: list[str]) -> None:
    statement = select(Asset.id).where(Asset.id.in_(ids), Asset.project_id == project_id, Asset.deleted_at.is_(None))
    known = set(await session.scalars(statement))
    if missing := [id for id in ids if id not in known]:
        raise HTTPException(404, {"message": "There are no such assets in this project.", "missing": missing})
