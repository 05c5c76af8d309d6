"""The routes of assets."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from idiomatic.access import Editor, Key, Session
from idiomatic.collections import load_collection, lock_assets
from idiomatic.links import BaseUrl
from idiomatic.models import Asset, Collection, CollectionAsset, now
from idiomatic.pages import PageSize, Token, decode_token, encode_token
from idiomatic.schemas import (
    AssetAnswer,
    AssetList,
    AssetOut,
    AssetPage,
    BulkIds,
    RestoreReport,
    SkippedAsset,
    TrashIds,
)
from sqlalchemy import func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

router = APIRouter(prefix="/v1/assets")


@router.get("", response_model_exclude_none=True)
async def list_assets(
    session: Session,
    key: Key,
    base_url: BaseUrl,
    page_size: PageSize = 10,
    token: Token = None,
    collection_id: Annotated[str | None, Query(alias="collectionId")] = None,
) -> AssetPage:
    statement = (
        select(Asset)
        .where(Asset.project_id == key.project_id, Asset.deleted_at.is_(None))
        .order_by(Asset.created_at.desc(), Asset.id.desc())
        .limit(page_size + 1)
    )
    if collection_id:
        await load_collection(session, key.project_id, collection_id)
        statement = statement.join(CollectionAsset).where(CollectionAsset.collection_id == collection_id)
    if token:
        statement = statement.where(tuple_(Asset.created_at, Asset.id) < decode_token(token))
    assets = (await session.scalars(statement)).all()
    page = assets[:page_size]
    return AssetPage(
        assets=await show(session, page, base_url),
        next_pagination_token=encode_token(page[-1]) if len(assets) > page_size else None,
    )


@router.get("/{id}", response_model_exclude_none=True)
async def get_asset(session: Session, key: Key, base_url: BaseUrl, id: str) -> AssetAnswer:
    assets = await load_assets(session, key.project_id, [id])
    if not assets:
        raise HTTPException(404, {"message": f"There is no asset {id!r} in this project.", "missing": [id]})
    (shown,) = await show(session, assets, base_url)
    return AssetAnswer(asset=shown)


@router.post("/get-bulk", response_model_exclude_none=True)
async def get_assets(session: Session, key: Key, base_url: BaseUrl, body: BulkIds) -> AssetList:
    """Those that there are, in the order that was asked for."""
    wanted = list(dict.fromkeys(body.asset_ids))
    found = {asset.id: asset for asset in await load_assets(session, key.project_id, wanted)}
    return AssetList(assets=await show(session, [found[id] for id in wanted if id in found], base_url))


async def load_assets(session: AsyncSession, project_id: str, ids: list[str]) -> list[Asset]:
    found = await session.scalars(select(Asset).where(Asset.id.in_(ids), Asset.deleted_at.is_(None)))
    # As a condition, SQLite would look through the index of the whole project.
    return [asset for asset in found if asset.project_id == project_id]


async def show(session: AsyncSession, assets: Sequence[Asset], base_url: str) -> list[AssetOut]:
    ids = await load_collection_ids(session, assets)
    return [AssetOut.of(asset, ids[asset.id], base_url) for asset in assets]


async def load_collection_ids(session: AsyncSession, assets: Sequence[Asset]) -> dict[str, list[str]]:
    """The collections of each. Columns, since to make an object of each membership would take most of a request."""
    found: dict[str, list[str]] = {asset.id: [] for asset in assets}
    statement = (
        select(CollectionAsset.asset_id, CollectionAsset.collection_id)
        .where(CollectionAsset.asset_id.in_(found))
        .order_by(CollectionAsset.collection_id)
    )
    for asset_id, collection_id in await session.execute(statement):
        found[asset_id].append(collection_id)
    return found


@router.delete("")
async def trash_assets(session: Session, key: Editor, body: TrashIds) -> dict[str, str]:
    """Ids that are unknown or in the trash change nothing."""
    known = await lock_assets(session, key.project_id, body.asset_ids, is_shared=False)
    statement = (
        update(Asset)
        .where(Asset.id.in_(known), Asset.deleted_at.is_(None))
        .values(deleted_at=now())
        .returning(Asset.id)
    )
    if trashed := list(await session.scalars(statement)):
        await count_anew(session, trashed, -1)
    await session.commit()
    return {}


@router.post("/restore")
async def restore_assets(session: Session, key: Editor, body: TrashIds) -> RestoreReport:
    wanted = list(dict.fromkeys(body.asset_ids))
    known = await lock_assets(session, key.project_id, wanted, is_shared=False)
    statement = (
        update(Asset)
        .where(Asset.id.in_(known), Asset.deleted_at.is_not(None))
        .values(deleted_at=None)
        .returning(Asset.id)
    )
    restored = set(await session.scalars(statement))
    if restored:
        await count_anew(session, list(restored), 1)
    await session.commit()
    return RestoreReport(
        restored_asset_ids=[id for id in wanted if id in restored],
        skipped_assets=[
            SkippedAsset(asset_id=id, reason="not-deleted" if id in known else "not-found")
            for id in wanted
            if id not in restored
        ],
    )


async def count_anew(session: AsyncSession, moved: list[str], sign: int) -> None:
    """Take assets that left out of the counts of their collections, or put them back."""
    of_moved = CollectionAsset.asset_id.in_(moved)
    collections = select(CollectionAsset.collection_id).where(of_moved)
    locked = select(Collection.id).where(Collection.id.in_(collections)).order_by(Collection.id)
    ids = list(await session.scalars(locked.with_for_update(key_share=True)))
    members = (
        select(func.count())
        .where(CollectionAsset.collection_id == Collection.id, of_moved)
        .correlate(Collection)
        .scalar_subquery()
    )
    await session.execute(
        update(Collection)
        .where(Collection.id.in_(ids))
        .values(asset_count=Collection.asset_count + sign * members, updated_at=now())
        .execution_options(synchronize_session=False)
    )
