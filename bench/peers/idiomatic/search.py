"""Full-text search: an FTS5 table of SQLite, or a generated column of PostgreSQL with a GIN index.

Both follow what is written to `assets`. Assets are never renamed here, so the FTS5 table only needs new ones.
"""

import re

from fastapi import APIRouter
from idiomatic.access import Key, Session
from idiomatic.assets import load_collection_ids
from idiomatic.database import is_postgres
from idiomatic.links import BaseUrl
from idiomatic.models import Asset, Project
from idiomatic.schemas import HitOut, HitPage, SearchBody
from sqlalchemy import DDL, Select, column, event, func, select, table, text

router = APIRouter(prefix="/v1/search")
MOST_COUNTED = 1000
"""Of hits: the total is an estimate."""

GIN = "CREATE INDEX ix_assets_search ON assets USING gin (search)"
fts = table("asset_search", column("rowid"), column("asset_id"))
for dialect, statement in (
    ("sqlite", "CREATE VIRTUAL TABLE asset_search USING fts5(asset_id UNINDEXED, name, prompt, tags)"),
    (
        "sqlite",
        "CREATE TRIGGER asset_is_new AFTER INSERT ON assets BEGIN"
        " INSERT INTO asset_search (asset_id, name, prompt, tags) VALUES (new.id, new.name, new.prompt, new.tags); END",
    ),
    (
        "postgresql",
        "ALTER TABLE assets ADD COLUMN search tsvector GENERATED ALWAYS AS"
        " (to_tsvector('simple', name || ' ' || coalesce(prompt, '') || ' ' || tags::text)) STORED",
    ),
    ("postgresql", GIN),
):
    event.listen(Asset.__table__, "after_create", DDL(statement).execute_if(dialect=dialect))


def find(query: str) -> Select[tuple[Asset]]:
    """Assets that have all words, newest first. The last word may be the start of one, unless a space ends it."""
    words = re.findall(r"\w+", query)
    newest = select(Asset).order_by(Asset.created_at.desc(), Asset.id.desc())
    if not words:
        return newest
    is_open = not query[-1].isspace()
    if is_postgres:
        wanted = " & ".join(words) + (":*" if is_open else "")
        return newest.where(column("search").op("@@")(func.to_tsquery("simple", wanted)))
    wanted = " ".join(f'"{word}"' for word in words) + (" *" if is_open else "")
    matches = text("asset_search MATCH :wanted").bindparams(wanted=wanted)
    # They are indexed when they are made, so that its rows are in the order of time.
    return select(Asset).join(fts, fts.c.asset_id == Asset.id).where(matches).order_by(fts.c.rowid.desc())


@router.post("/assets", response_model_exclude_none=True)
async def search_assets(session: Session, key: Key, base_url: BaseUrl, body: SearchBody) -> HitPage:
    project = await session.get_one(Project, key.project_id)
    found = find(body.query).where(Asset.project_id == project.id, Asset.deleted_at.is_(None))
    assets = (await session.scalars(found.limit(body.limit).offset(body.offset))).all()
    ids = await load_collection_ids(session, assets)
    some = found.with_only_columns(Asset.id, maintain_column_froms=True).order_by(None)
    total = await session.scalar(select(func.count()).select_from(some.limit(body.offset + MOST_COUNTED).subquery()))
    return HitPage(
        hits=[HitOut.of(asset, ids[asset.id], base_url, project) for asset in assets],
        limit=body.limit,
        offset=body.offset,
        estimated_total_hits=total,
    )
