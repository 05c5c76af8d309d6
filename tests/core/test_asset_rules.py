"""Assets: uploaded whole or not at all, kept by hash, trashed and restored with everything they had."""

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import DAY_MS, Clock, make_assets, make_png, new_actor, new_asset, new_key, sign_in, store_png, upload
from msgspec import UNSET

from pinakes import assets, collections, mlmodels, projects
from pinakes.access import Actor
from pinakes.asset_types import SkippedAsset
from pinakes.assets import AssetFilter, AssetPatch, NewAsset
from pinakes.collections import NewCollection
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import NewModel
from pinakes.projects import NewProject
from pinakes.tags import TagChange


def live(library: Library, actor: Actor) -> list[str]:
    return [asset.id for asset in assets.get_page(library, actor, AssetFilter(), 100).items]


def test_an_upload_is_examined_and_stored_once(library: Library, admin: Actor) -> None:
    first = upload(library, admin, new_asset("cat.png", make_png(5, 3)))
    assert (first.kind, first.mime_type, first.status, first.source) == ("image", "image/png", "success", "uploaded")
    assert (first.properties.width, first.properties.height, first.properties.nb_frames) == (5, 3, UNSET)
    assert first.metadata.name == first.name == "cat.png"
    assert first == assets.get(library, admin, first.id)
    upload(library, admin, new_asset("again.png", make_png(5, 3)))
    (blob,) = library.blobs.all()
    assert blob.size == first.properties.size == first.metadata.size == len(make_png(5, 3))
    assert library.blobs.size(f"thumbnails/{blob.sha256[:2]}/{blob.sha256[2:4]}/{blob.sha256}-512.webp")


def test_thumbnails_are_written_once_and_names_are_checked_each_time(library: Library, admin: Actor) -> None:
    upload(library, admin, new_asset("cat.png"))
    thumbnails = list(Path(library.config.data).rglob("thumbnails/**/*.webp"))
    before = {path: path.stat().st_ino for path in thumbnails}
    with pytest.raises(PinakesError, match="the name says JPEG but the bytes are PNG"):
        upload(library, admin, new_asset("cat.jpg"))
    upload(library, admin, new_asset("again.png"))
    assert len(before) == 3
    assert {path: path.stat().st_ino for path in thumbnails} == before
    thumbnails[0].unlink()
    upload(library, admin, new_asset("mended.png"))
    assert thumbnails[0].exists()


@pytest.mark.parametrize(
    "image",
    [
        "data:image/png;base64,{}",
        "DATA:IMAGE/PNG;BASE64,{}",
        "data:;base64,{}",
        "data:image/png;charset=x;base64,{}",
        "  {}\r\n",
        "{}===",
    ],
)
def test_an_upload_may_be_written_in_these_ways(library: Library, admin: Actor, image: str) -> None:
    text = base64.b64encode(make_png()).decode()
    assert upload(library, admin, NewAsset("a.png", image.format(text))).mime_type == "image/png"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("", "no bytes"),
        ("data:image/png;base64,", "no bytes"),
        ("data:image/png,abc", "must look like"),
        ("data:text/html;base64,###", "neither base64"),
        ("not base64!", "neither base64"),
        ("é" * 4, "neither base64"),
        ("AAAA\ud800", "neither base64"),
        ("QQ==QQ==", "neither base64"),
        ("data:image/jpeg;base64," + base64.b64encode(make_png()).decode(), "the bytes are image/png"),
        (base64.b64encode(make_png()[:40]).decode(), "damaged or truncated"),
    ],
)
def test_what_cannot_be_an_asset_is_refused(library: Library, admin: Actor, image: str, reason: str) -> None:
    with pytest.raises(PinakesError, match=reason) as caught:
        upload(library, admin, NewAsset("a.png", image))
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "image")
    assert live(library, admin) == []


def test_too_large_and_nameless_uploads_are_refused(
    library: Library, admin: Actor, open_with: Callable[..., Library]
) -> None:
    small = open_with(msgspec.structs.replace(library.config, max_upload_bytes=10))
    with pytest.raises(PinakesError) as caught:
        upload(small, admin, new_asset())
    assert caught.value.code == "PAYLOAD_TOO_LARGE"
    for name in ("", "  ", "a\0.png"):
        with pytest.raises(PinakesError) as caught:
            upload(library, admin, new_asset(name))
        assert caught.value.details["field"] == "name"


def test_unknown_relatives_refuse_the_upload(library: Library, admin: Actor, other: Actor) -> None:
    stored = store_png(library)
    (foreign,) = make_assets(library, other, 1)
    for new, field, wrong in (
        (NewAsset("a", "", parent_id=foreign), "parentId", foreign),
        (NewAsset("a", "", model_id="model_never"), "modelId", "model_never"),
        (NewAsset("a", "", collection_ids=["col_never"]), "collectionIds", "col_never"),
    ):
        with pytest.raises(PinakesError, match=f"^{field}: no such") as caught:
            assets.create(library, admin, new, stored)
        assert (caught.value.code, caught.value.details) == ("NOT_FOUND", {"missing": [wrong]})
    assert live(library, admin) == []


def test_relatives_are_remembered(library: Library, admin: Actor) -> None:
    stored = store_png(library)
    model = mlmodels.create(library, admin, NewModel(id="flux.1-dev")).id
    root = assets.create(library, admin, NewAsset("root", "", model_id=model, hide=True), stored)
    child = assets.create(library, admin, NewAsset("child", "", parent_id=root.id), stored)
    grandchild = assets.create(library, admin, NewAsset("grandchild", "", parent_id=child.id), stored)
    assert (root.is_hidden, root.metadata.model_id, root.metadata.parent_id) == (True, model, UNSET)
    assert (child.metadata.parent_id, child.metadata.root_parent_id) == (root.id, root.id)
    assert (grandchild.metadata.parent_id, grandchild.metadata.root_parent_id) == (child.id, root.id)
    assert assets.get(library, admin, grandchild.id) == grandchild


def test_get_bulk_keeps_the_order_and_leaves_out_the_unknown(library: Library, admin: Actor, other: Actor) -> None:
    first, second, trashed = make_assets(library, admin, 3)
    (foreign,) = make_assets(library, other, 1)
    assets.delete(library, admin, [trashed])
    wanted = [second, "never_was", foreign, trashed, first, second]
    assert [asset.id for asset in assets.get_bulk(library, admin, wanted)] == [second, first]
    for wrong in ([], [first] * 201):
        with pytest.raises(PinakesError, match="expected 1 to 200 ids"):
            assets.get_bulk(library, admin, wrong)


def test_update_changes_what_it_names(clock: Clock, library: Library, admin: Actor) -> None:
    (id,) = make_assets(library, admin, 1)
    clock.move(ms=1)
    after = assets.update(library, admin, id, AssetPatch(name=" new ", description=""))
    assert (after.name, after.description) == (" new ", "")
    assert after.updated_at > after.created_at
    assert assets.update(library, admin, id, AssetPatch(description="x")).name == " new "
    assert assets.get(library, admin, id).description == "x"
    for patch in (AssetPatch(name=""), AssetPatch(description="\0"), AssetPatch(description="x" * 100_001)):
        with pytest.raises(PinakesError, match="must"):
            assets.update(library, admin, id, patch)
    for verb in (
        lambda: assets.update(library, admin, "never_was", AssetPatch()),
        lambda: assets.get(library, admin, "never_was"),
        lambda: assets.copy(library, admin, "never_was"),
        lambda: assets.update_tags(library, admin, "never_was", TagChange()),
    ):
        with pytest.raises(PinakesError, match="There is no asset"):
            verb()


def test_a_copy_shares_bytes_and_words_but_no_collections(clock: Clock, library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    (id,) = make_assets(library, admin, 1, [shelf])
    assets.update(library, admin, id, AssetPatch(name="N", description="D"))
    assets.update_tags(library, admin, id, TagChange(add=["t"]))
    clock.move(ms=9)
    copy = assets.copy(library, admin, id)
    assert copy == assets.get(library, admin, copy.id)
    assert (copy.name, copy.description, copy.tags, copy.collection_ids) == ("N", "D", ["t"], [])
    assert copy.metadata.copied_at == copy.created_at == "2023-11-14T22:13:20.009Z"
    assert len(list(library.blobs.all())) == 1


def test_a_copy_may_go_to_another_project_the_key_writes(library: Library, other: Actor) -> None:
    key = new_key(library)
    admin = sign_in(library, key)
    mine = projects.create(library, admin, NewProject("Second")).id
    model = mlmodels.create(library, admin, NewModel()).id
    root = assets.create(library, admin, NewAsset("root", ""), store_png(library)).id
    new = NewAsset("child", "", parent_id=root, model_id=model)
    id = assets.create(library, admin, new, store_png(library)).id
    assets.update_tags(library, admin, id, TagChange(add=["t"]))
    copy = assets.copy(library, admin, id, mine)
    assert (copy.owner_id, copy.tags, copy.metadata.parent_id) == (mine, ["t"], UNSET)
    assert (copy.metadata.model_id, copy.metadata.root_parent_id) == (UNSET, UNSET)
    assert assets.get(library, sign_in(library, key, mine), copy.id).id == copy.id
    assert copy.id not in live(library, admin)
    for wrong in (other.project_id, "proj_never"):
        with pytest.raises(PinakesError) as caught:
            assets.copy(library, admin, id, wrong)
        assert (caught.value.code, caught.value.details) == ("FORBIDDEN", {"projectId": wrong})


@pytest.mark.usefixtures("clock")
def test_the_trash_and_back(library: Library, admin: Actor) -> None:
    shelf = collections.create(library, admin, NewCollection("Shelf")).id
    first, second = make_assets(library, admin, 2, [shelf])
    assets.update_tags(library, admin, first, TagChange(add=["t"]))
    assets.delete(library, admin, [first, "never_was", first])
    assets.delete(library, admin, [first])
    with pytest.raises(PinakesError, match="There is no asset"):
        assets.get(library, admin, first)
    assert live(library, admin) == [second]
    (trashed,) = assets.get_page(library, admin, AssetFilter(is_deleted=True)).items
    assert (trashed.id, trashed.deleted_at) == (first, "2023-11-14T22:13:20.000Z")
    report = assets.restore(library, admin, [first, second, "never_was", first])
    assert report.restored_asset_ids == [first]
    assert report.skipped_assets == [SkippedAsset(second, "not-deleted"), SkippedAsset("never_was", "not-found")]
    back = assets.get(library, admin, first)
    assert (back.tags, back.collection_ids, back.deleted_at) == (["t"], [shelf], UNSET)
    assert assets.get_page(library, admin, AssetFilter(is_deleted=True)).items == []


def test_the_trash_keeps_for_30_days(clock: Clock, library: Library, admin: Actor) -> None:
    early, late = make_assets(library, admin, 2)
    assets.delete(library, admin, [early])
    clock.move(ms=1)
    assets.delete(library, admin, [late])
    clock.move(ms=30 * DAY_MS - 1)
    listed = assets.get_page(library, admin, AssetFilter(is_deleted=True)).items
    assert [asset.id for asset in listed] == [late]
    report = assets.restore(library, admin, [early, late])
    assert report.restored_asset_ids == [late]
    assert report.skipped_assets == [SkippedAsset(early, "expired")]


def test_up_to_100_go_to_the_trash_at_once(library: Library, admin: Actor) -> None:
    made = make_assets(library, admin, 101)
    for verb in (assets.delete, assets.restore):
        for wrong in ([], made):
            with pytest.raises(PinakesError, match="expected 1 to 100 ids"):
                verb(library, admin, wrong)
    assets.delete(library, admin, made[:100])
    assert live(library, admin) == made[100:]


def test_another_projects_assets_are_out_of_reach(library: Library, admin: Actor, other: Actor) -> None:
    (id,) = make_assets(library, admin, 1)
    assets.delete(library, other, [id])
    assert live(library, admin) == [id]
    assets.delete(library, admin, [id])
    assert assets.restore(library, other, [id]).skipped_assets == [SkippedAsset(id, "not-found")]
    assert assets.get_bulk(library, other, [id]) == []


def test_readers_may_not_write(library: Library, admin: Actor) -> None:
    reader = new_actor(library, "reader", admin.project_id)
    (id,) = make_assets(library, admin, 1)
    assert assets.get(library, reader, id).id == id
    for verb in (
        lambda: upload(library, reader, new_asset()),
        lambda: assets.create(library, reader, new_asset(), store_png(library)),
        lambda: assets.update(library, reader, id, AssetPatch()),
        lambda: assets.update_tags(library, reader, id, TagChange()),
        lambda: assets.copy(library, reader, id),
        lambda: assets.delete(library, reader, [id]),
        lambda: assets.restore(library, reader, [id]),
    ):
        with pytest.raises(PinakesError) as caught:
            verb()
        assert (caught.value.code, caught.value.details) == ("FORBIDDEN", {"scope": "assets.write"})


def test_bytes_are_found_while_asset_and_project_live(library: Library, admin: Actor) -> None:
    """For whoever holds a signed link."""
    second = projects.create(library, admin, NewProject("Second")).id
    (id,) = make_assets(library, admin, 1)
    copy = assets.copy(library, admin, id, second).id
    found = assets.locate(library, second, copy)
    assert (found.size, found.mime_type, found.name) == (len(make_png()), "image/png", "a.png")
    assert library.blobs.read(f"blobs/{found.sha256[:2]}/{found.sha256[2:4]}/{found.sha256}") == make_png()
    assets.delete(library, admin, [id])
    projects.delete(library, admin, second)
    for project_id, gone in ((admin.project_id, id), (second, copy), (admin.project_id, copy), ("proj_never", id)):
        with pytest.raises(PinakesError, match="There is no asset"):
            assets.locate(library, project_id, gone)
