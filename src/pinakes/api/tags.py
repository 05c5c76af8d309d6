"""The tag call."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import tags
from pinakes.api.call import Call
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.tags import Tag

routes = Routes()


class TagsQuery(ProjectQuery, frozen=True, rename="camel"):
    """A page of tags."""

    page_size: Annotated[int, Meta(ge=1, le=100)] = 50
    pagination_token: str | None = None


class TagPage(msgspec.Struct, frozen=True, rename="camel"):
    """`{tags, nextPaginationToken?}`"""

    tags: list[Tag]
    next_pagination_token: str | UnsetType = UNSET


@routes.add("GET", "/tags", tags.get_page, TagPage, query=TagsQuery)
async def get_page(call: Call[TagsQuery, None]) -> TagPage:
    """List the tags of assets and models, by name."""
    page = await call.read(tags.get_page, call.query.page_size, call.query.pagination_token)
    return TagPage(page.items, page.token or UNSET)
