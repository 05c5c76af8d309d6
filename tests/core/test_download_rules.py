"""What can be downloaded, by whom, and for how long."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pyvips
from conftest import Clock, make_assets, new_actor, new_asset, upload
from databases import ask_sql

sys.path.append(str(Path(__file__).parents[1] / "media"))  # for `pictures`

from pictures import animation, picture

from pinakes import asset_bytes, assets, downloads, mlmodels, upkeep
from pinakes.access import Actor
from pinakes.asset_types import Generation
from pinakes.assets import AssetPatch, NewAsset
from pinakes.blobs import converted_key
from pinakes.download_types import CONVERTED, ArchiveOptions, ArchiveQuery, NewArchive, NewModelDownload, Target
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel

NOTHING_SAID = NewModelDownload()


def refused(verb: Callable[..., object], *args: Any, **kwargs: Any) -> PinakesError:
    with pytest.raises(PinakesError) as raised:
        verb(*args, **kwargs)
    return raised.value


def archive(
    library: Library, actor: Actor, asset_ids: list[str], template: str = "<id>", model_ids: list[str] | None = None
) -> str:
    """The job of an archive."""
    new = NewArchive(ArchiveOptions(template), ArchiveQuery(asset_ids, ["anything"], model_ids or []))
    return downloads.create(library, actor, downloads.plan(library, actor, new)).job_id


def paths(library: Library, actor: Actor, job_id: str) -> list[str]:
    return [entry.path for entry in downloads.locate_archive(library, actor.project_id, job_id).entries]


def give_file(library: Library, id: str, sha256: str, size: int, name: str | None) -> None:
    """What importing a model's file leaves behind."""
    change = "UPDATE model SET sha256 = ?, size = ?, file_name = ? WHERE id = ?"
    ask_sql(library.config, change, sha256, size, name, id)


def link_to_model(library: Library, asset_id: str, model_id: str) -> None:
    """What finding a model in a file's own words leaves behind."""
    link = (
        "INSERT INTO asset_ingredient (owner, model, asset, role)"
        " SELECT m.owner, m.number, a.number, 'lora' FROM asset a, model m WHERE a.id = ? AND m.id = ?"
    )
    ask_sql(library.config, link, asset_id, model_id)


def test_an_asset_as_it_is(library: Library, admin: Actor) -> None:
    (id,) = make_assets(library, admin, 1)
    found = downloads.of_asset(library, admin, id)
    assert found.mime_type == "image/png"
    assert f"/files/{admin.project_id}/{id}/download?" in found.url
    assert downloads.of_asset(library, admin, id, "png") == found


def test_what_is_unknown_or_in_the_trash_cannot_be_had(library: Library, admin: Actor, other: Actor) -> None:
    (id,) = make_assets(library, admin, 1)
    assert refused(downloads.of_asset, library, other, id).code == "NOT_FOUND"
    assets.delete(library, admin, [id])
    assert refused(downloads.of_asset, library, admin, id, "jpg").details == {"missing": [id]}


@pytest.mark.parametrize("target", ["gif", "jpg", "jpeg", "png", "webp", "avif", "tif", "tiff"])
def test_a_picture_in_another_format(library: Library, admin: Actor, target: Target) -> None:
    """Whole, made once, and gone with the bytes it was made of."""
    id = upload(library, admin, new_asset("a.webp", picture("webp", 300, 200))).id
    first = downloads.of_asset(library, admin, id, target)
    if target == "webp":
        assert first.url.rpartition("?")[0].endswith("/download")
        return
    format: str = {"jpg": "jpeg", "tif": "tiff"}.get(target) or target
    assert first.mime_type == f"image/{format}"
    stored = downloads.locate(library, admin.project_id, id)
    key = converted_key(stored.sha256, format)
    data = library.blobs.read(key)
    image = pyvips.Image.new_from_buffer(data, "")
    assert (image.width, image.height) == (300, 200)
    path = Path(library.config.data, "blobs", key)
    written = path.stat().st_mtime_ns
    assert downloads.of_asset(library, admin, id, target) == first
    assert path.stat().st_mtime_ns == written
    assert upkeep.check(library) == []
    library.blobs.delete(stored.sha256)
    assert not path.exists()


def test_converted_files_have_fitting_names(library: Library, admin: Actor) -> None:
    names = {"a.PNG": "a.jpg", "a": "a.jpg", "a.b": "a.b.jpg", "森.png": "森.jpg", "a.jpg.png": "a.jpg.jpg"}
    stored = downloads.locate(library, admin.project_id, make_assets(library, admin, 1)[0])
    for name, wanted in names.items():
        assert downloads.file_name(library, msgspec.structs.replace(stored, name=name), "jpeg") == wanted
    kept = {"a.png": "a.png", "a.PNG": "a.PNG", "a": "a.png", "a.txt": "a.txt.png"}
    for name, wanted in kept.items():
        assert downloads.file_name(library, msgspec.structs.replace(stored, name=name), "png") == wanted


def test_what_an_animation_keeps(library: Library, admin: Actor) -> None:
    id = upload(library, admin, new_asset("a.gif", animation("gif"))).id
    sha256 = downloads.locate(library, admin.project_id, id).sha256
    for format, frames in (("webp", 6), ("png", 1)):
        downloads.of_asset(library, admin, id, format)  # type: ignore[arg-type]
        image = pyvips.Image.new_from_buffer(library.blobs.read(converted_key(sha256, format)), "")
        assert (image.get("n-pages") if image.get_typeof("n-pages") else 1) == frames


def test_a_picture_that_lies_on_its_side_stands_up(library: Library, admin: Actor) -> None:
    image = pyvips.Image.new_from_buffer(picture("png", 300, 200), "").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    id = upload(library, admin, new_asset("a.jpg", image.jpegsave_buffer())).id
    downloads.of_asset(library, admin, id, "png")
    sha256 = downloads.locate(library, admin.project_id, id).sha256
    turned = pyvips.Image.new_from_buffer(library.blobs.read(converted_key(sha256, "png")), "")
    assert (turned.width, turned.height) == (200, 300)
    assert not turned.get_typeof("orientation") or turned.get("orientation") == 1


def test_where_nothing_shines_through_it_stands_on_white(library: Library, admin: Actor) -> None:
    for depth in ("uchar", "ushort"):
        clear = pyvips.Image.black(20, 10, bands=4).cast(depth)
        data = clear.copy(interpretation="srgb" if depth == "uchar" else "rgb16").pngsave_buffer()
        id = upload(library, admin, new_asset("a.png", data)).id
        downloads.of_asset(library, admin, id, "jpeg")
        sha256 = downloads.locate(library, admin.project_id, id).sha256
        assert pyvips.Image.new_from_buffer(library.blobs.read(converted_key(sha256, "jpeg")), "")(5, 5) == [255] * 3


def test_formats_that_cannot_be_had(library: Library, admin: Actor) -> None:
    (picture_id,) = make_assets(library, admin, 1)
    model_id = upload(library, admin, new_asset("a.glb", b"glTF\2\0\0\0\x0c\0\0\0")).id
    for target in ("heif", "svg", "glb", "fbx", "obj", "mp3", "mp4"):
        error = refused(downloads.of_asset, library, admin, picture_id, target)
        assert (error.code, error.details["field"]) == ("BAD_REQUEST", "targetFormat")
        assert all(format in error.message for format in (target, *CONVERTED))
    for target in ("png", "fbx", "mp4"):
        error = refused(downloads.of_asset, library, admin, model_id, target)
        assert error.message.endswith("only as it is: leave targetFormat out")
    assert downloads.of_asset(library, admin, model_id, "glb").mime_type == "model/gltf-binary"


def test_a_picture_too_large_to_convert(library: Library, admin: Actor) -> None:
    id = upload(library, admin, new_asset("a.png", pyvips.Image.black(20_000, 2).pngsave_buffer())).id
    for target, most in (("webp", "16,383"), ("avif", "16,384")):
        error = refused(downloads.of_asset, library, admin, id, target)
        assert (error.code, most in error.message) == ("BAD_REQUEST", True)
    assert downloads.of_asset(library, admin, id, "jpeg").mime_type == "image/jpeg"


def test_an_archive_is_named_after_what_is_known(library: Library, admin: Actor) -> None:
    stored = asset_bytes.store(library, admin, new_asset())
    made = Generation(generator="ComfyUI", prompt="A cat is dancing", seed="42")
    ids = [
        assets.create(library, admin, NewAsset("a.png", ""), msgspec.structs.replace(stored, generation=made)).id,
        *make_assets(library, admin, 1),
    ]
    assets.update(library, admin, ids[1], AssetPatch(description="The red forest"))
    job = archive(library, admin, [*ids, ids[0]], "<num>-<seed>-<prompt>-<generator>-<description>")
    assert paths(library, admin, job) == ["1-42-cat_dancing-ComfyUI.png", "2-red_forest.png"]


def test_an_archive_of_what_models_made(library: Library, admin: Actor) -> None:
    model = mlmodels.create(library, admin, NewModel()).id
    stored = asset_bytes.store(library, admin, new_asset())
    made = [assets.create(library, admin, NewAsset("a.png", "", model_id=model), stored).id for _ in range(3)]
    alone, found = make_assets(library, admin, 2)
    link_to_model(library, found, model)
    job = archive(library, admin, [alone, made[2]], model_ids=[model])
    assert paths(library, admin, job) == [f"{id}.png" for id in (alone, made[2], made[0], made[1], found)]


def test_an_archive_needs_things_that_are_there(library: Library, admin: Actor, other: Actor) -> None:
    (mine,), (theirs,) = make_assets(library, admin, 1), make_assets(library, other, 1)
    assets.delete(library, admin, gone := make_assets(library, admin, 1))
    error = refused(archive, library, admin, [mine, theirs, *gone, "none"])
    assert (error.code, error.details["missing"]) == ("NOT_FOUND", [theirs, *gone, "none"])
    error = refused(archive, library, admin, [mine], model_ids=["none"])
    assert (error.code, error.details["missing"]) == ("NOT_FOUND", ["none"])
    unused = mlmodels.create(library, admin, NewModel()).id
    for ids in ([], [unused]):
        error = refused(archive, library, admin, [], model_ids=ids)
        assert (error.code, error.details["field"]) == ("BAD_REQUEST", "query")


def test_an_archive_holds_a_thousand_and_no_more(library: Library, admin: Actor) -> None:
    model = mlmodels.create(library, admin, NewModel()).id
    stored = asset_bytes.store(library, admin, new_asset())
    with library.store.write():
        ids = [assets.create(library, admin, NewAsset("a.png", "", model_id=model), stored).id for _ in range(1_000)]
    assert len(paths(library, admin, archive(library, admin, ids, model_ids=[model]))) == 1_000
    one_more = make_assets(library, admin, 1)
    assert refused(archive, library, admin, one_more, model_ids=[model]).code == "BAD_REQUEST"


def test_what_is_deleted_later_is_left_out(library: Library, admin: Actor) -> None:
    ids = make_assets(library, admin, 3)
    job = archive(library, admin, ids, "<num>")
    assets.delete(library, admin, [ids[1]])
    assert paths(library, admin, job) == ["1.png", "3.png"]
    assets.delete(library, admin, ids)
    assert refused(paths, library, admin, job).code == "NOT_FOUND"
    assets.restore(library, admin, ids)
    assert paths(library, admin, job) == ["1.png", "2.png", "3.png"]


def test_a_job_is_its_projects_own(library: Library, admin: Actor, other: Actor) -> None:
    job = archive(library, admin, make_assets(library, admin, 1))
    status = downloads.get(library, admin, job)
    assert (status.job_id, status.job_status) == (job, "success")
    assert f"/files/{admin.project_id}/{job}/archive?" in status.download_url
    assert refused(downloads.get, library, other, job).code == "NOT_FOUND"
    assert refused(paths, library, other, job).code == "NOT_FOUND"


def test_a_reader_may_download_and_others_may_not(library: Library, admin: Actor) -> None:
    ids = make_assets(library, admin, 1)
    reader = new_actor(library, "reader", admin.project_id)
    assert downloads.of_asset(library, reader, ids[0]).mime_type == "image/png"
    assert downloads.get(library, reader, archive(library, reader, ids)).job_status == "success"
    stranger = new_actor(library, "models.read", admin.project_id)
    assert refused(archive, library, stranger, ids).code == "FORBIDDEN"


def test_the_file_of_a_model(library: Library, admin: Actor) -> None:
    sha256 = library.blobs.put(b"weights")
    id = mlmodels.create(library, admin, NewModel(id="flux.1-dev", name="Flux")).id
    assert refused(downloads.of_model, library, admin, "none", NOTHING_SAID).details == {"missing": ["none"]}
    error = refused(downloads.of_model, library, admin, id, NOTHING_SAID)
    assert (error.code, "has no file" in error.message) == ("NOT_FOUND", True)
    give_file(library, id, sha256, 7, "flux.safetensors")
    job = downloads.of_model(library, admin, id, NOTHING_SAID).job_id
    assert f"/files/{admin.project_id}/{id}/model?" in downloads.get(library, admin, job).download_url
    found = downloads.locate_model(library, admin.project_id, id)
    assert (found.name, found.sha256, found.size) == ("flux.safetensors", sha256, 7)
    blind = new_actor(library, "assets.read", admin.project_id)
    assert refused(downloads.get, library, blind, job).code == "FORBIDDEN"
    mlmodels.delete(library, admin, id)
    assert refused(downloads.get, library, admin, job).code == "NOT_FOUND"


def test_an_epoch_has_to_be_known(library: Library, admin: Actor) -> None:
    id = mlmodels.create(library, admin, NewModel()).id
    give_file(library, id, library.blobs.put(b"weights"), 7, None)
    error = refused(downloads.of_model, library, admin, id, NewModelDownload("e1"))
    assert (error.code, error.details["field"]) == ("BAD_REQUEST", "modelEpoch")
    mlmodels.update(library, admin, id, ModelPatch(epoch="e1"))
    assert downloads.of_model(library, admin, id, NewModelDownload("e1")).job_id


def test_downloads_are_forgotten(clock: Clock, library: Library, admin: Actor) -> None:
    """Not before every link that was made for them at first has ended."""
    job = archive(library, admin, make_assets(library, admin, 1))
    clock.move(days=1.9)
    assert upkeep.sweep(library).downloads == 0
    later = archive(library, admin, make_assets(library, admin, 1))
    clock.move(days=0.2)
    assert upkeep.sweep(library).downloads == 1
    assert refused(downloads.get, library, admin, job).code == "NOT_FOUND"
    assert downloads.get(library, admin, later).job_status == "success"
