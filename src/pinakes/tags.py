"""Tags: names that assets and models of a project share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pinakes import errors, ids, text
from pinakes.access import Actor, needs
from pinakes.collections import MemberNoun
from pinakes.page import Page
from pinakes.text import TagName

if TYPE_CHECKING:
    from pinakes.library import Library
    from pinakes.store import Tx

MOST_TAGS = 100
"""Tags in one change."""

MOST_TAGS_OF_ONE = 1_000
"""Tags of one asset or model: each is shown wherever the thing is."""


class Tag(msgspec.Struct, frozen=True, rename="camel"):
    """A tag in use; `item_count` counts live assets and models."""

    tag_name: str
    item_count: int
    owner_id: str
    created_at: str
    updated_at: str


class TagChange(msgspec.Struct, frozen=True):
    """Tags to add to and delete from one thing. Strict: adding a present tag or deleting a missing one is an error."""

    add: Annotated[list[TagName], Meta(max_length=MOST_TAGS)] = []
    delete: Annotated[list[TagName], Meta(max_length=MOST_TAGS)] = []
    strict: bool = True


class TagReport(msgspec.Struct, frozen=True):
    """Which tags a change really added and deleted."""

    added: list[str]
    deleted: list[str]


@needs("tags.read")
def get_page(library: Library, actor: Actor, size: int = 50, token: str | None = None) -> Page[Tag]:
    """Tags in use, by name. One statement."""
    scope = ("tags", actor.project_id)
    after = library.tokens.read(token, scope)
    with library.store.glance() as tx:
        rows = tx.tags.page(actor.owner, actor.project_id, after, size + 1)
    return library.tokens.cut(rows, size, scope, lambda tag: (tag.tag_name,))


def change(tx: Tx, owner: int, noun: MemberNoun, number: int, wanted: TagChange) -> TagReport:
    """Change the tags of one live asset or model in this transaction. BAD_REQUEST as `TagChange` says, or too many."""
    add, delete = _checked("add", wanted.add), _checked("delete", wanted.delete)
    both = set(add) & set(delete)
    if both:
        raise errors.bad_request("delete", "the same tag is to be added and deleted", tags=sorted(both))
    present = set(tx.tags.of(owner, noun, number))
    report = TagReport([tag for tag in add if tag not in present], [tag for tag in delete if tag in present])
    if wanted.strict and len(report.added) < len(add):
        raise errors.bad_request("add", "already tagged so", tags=[tag for tag in add if tag in present])
    if wanted.strict and len(report.deleted) < len(delete):
        raise errors.bad_request("delete", "not tagged so", tags=[tag for tag in delete if tag not in present])
    if len(present) + len(report.added) - len(report.deleted) > MOST_TAGS_OF_ONE:
        raise errors.bad_request("add", f"one {noun} has at most {MOST_TAGS_OF_ONE} tags")
    tx.tags.add(owner, noun, number, report.added, ids.now())
    tx.tags.delete(owner, noun, number, report.deleted, ids.now())
    return report


def _checked(field: str, names: list[str]) -> list[str]:
    """The names, each once, in order."""
    if len(names) > MOST_TAGS:
        raise errors.bad_request(field, f"expected at most {MOST_TAGS} tags, got {len(names)}")
    for name in names:
        text.check_name(field, name, text.MAX_TAG)
    return list(dict.fromkeys(names))
