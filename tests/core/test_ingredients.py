"""Assets and the models they were made with find each other by hash and by name, whoever comes first."""

import io
import time
from collections.abc import Callable
from itertools import permutations

import msgspec
import pytest
from conftest import DAY_MS, Clock, new_asset, new_key, sign_in, store_png
from databases import run_sql
from linking import assets_of, do_jobs, file_model, made_with, one, shown
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pinakes import asset_bytes, assets, downloads, ingredients, mlmodels, projects, search, upkeep
from pinakes.access import Actor
from pinakes.assets import AssetFilter
from pinakes.download_types import ArchiveOptions, ArchiveQuery, NewArchive
from pinakes.errors import PinakesError
from pinakes.library import Library
from pinakes.mlmodels import ModelPatch, NewModel
from pinakes.projects import NewProject
from pinakes.search import Search
from pinakes.store import ingredients as sql
from pinakes.store.jobs import LEASE_MS

FOX = b"\x40\0\0\0\0\0\0\0{" + bytes(63) + b"fox" * 400_000
"""Like a safetensors file, and long enough to have every hash."""
WOLF = b"\x40\0\0\0\0\0\0\0{" + bytes(63) + b"wolf" * 400_000
WRONG = "0123456789"


def agree(library: Library, actor: Actor, model: str, expected: list[str]) -> None:
    """Every way to ask for the assets of a model."""
    assert assets_of(library, actor, model) == expected
    found = search.find_assets(library, actor, Search(filter=f'modelId = "{model}"'), {}).items
    assert [hit.id for hit in found] == expected
    wanted = NewArchive(ArchiveOptions("<id>"), ArchiveQuery(model_ids=[model]))
    if expected:
        assert len(downloads.plan(library, actor, wanted).members) == len(expected)
    assert upkeep.check(library) == []


@pytest.mark.parametrize("is_model_first", [True, False])
@pytest.mark.parametrize("form", ["sha256", "auto_v1", "auto_v2", "auto_v3", "tensors", "12", "8", "stated"])
def test_a_hash_in_any_form(library: Library, admin: Actor, other: Actor, form: str, is_model_first: bool) -> None:
    stated = "ab" * 32

    def hash_of(data: bytes) -> str:
        _, file = file_model(library, other, data, "x.safetensors", tensors_hash=stated)
        forms = {"12": file.sha256[:12], "8": file.sha256[:8], "stated": stated[:12]}
        return str(forms[form] if form in forms else getattr(file, form))

    hash = hash_of(FOX)
    make: list[Callable[[], str]] = [
        lambda: file_model(library, admin, FOX, "another name.safetensors", tensors_hash=stated)[0],
        lambda: made_with(library, admin, one(name="fox", hash=hash, weight=0.8)),
    ]
    first, second = make if is_model_first else make[::-1]
    ids = [first(), second()]
    model, asset = ids if is_model_first else ids[::-1]
    assert shown(library, admin, asset) == (None, {model: 0.8})
    agree(library, admin, model, [asset])


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("Fox Style_v1.5.safetensors", "fox_style-v1.5"),
        ("loras\\sdxl\\FOX.safetensors", "fox"),
        ("models/Lora/fox.sft", "sub/dir/Fox.safetensors"),
        ("füchse.safetensors", "FÜCHSE"),
        ("fox.gguf", "fox.ckpt"),
    ],
)
def test_names_are_compared_without_folders_endings_and_case(
    library: Library, admin: Actor, file: str, said: str
) -> None:
    model, _ = file_model(library, admin, FOX, file)
    asset = made_with(library, admin, one(name=said))
    assert shown(library, admin, asset) == (None, {model: 1.0})
    agree(library, admin, model, [asset])


@pytest.mark.parametrize(("file", "said"), [("fox_v1.5", "fox_v15"), ("fox", "foxes"), ("model", "model"), ("-", "_")])
def test_names_that_are_others_or_none(library: Library, admin: Actor, file: str, said: str) -> None:
    model, _ = file_model(library, admin, FOX, f"{file}.safetensors")
    assert shown(library, admin, made_with(library, admin, one(name=said))) == (None, {})
    agree(library, admin, model, [])


def test_every_name_of_a_model_counts(library: Library, admin: Actor) -> None:
    model, _ = file_model(library, admin, FOX, "file.safetensors", title="title")
    made = [made_with(library, admin, one(name=name)) for name in ("file", "title", "later")]
    agree(library, admin, model, made[1::-1])
    mlmodels.update(library, admin, model, ModelPatch(name="Later"))
    agree(library, admin, model, made[::-1])
    mlmodels.update(library, admin, model, ModelPatch(name="never"))
    agree(library, admin, model, made[1::-1])
    bare = mlmodels.create(library, admin, NewModel(name="later")).id
    agree(library, admin, bare, made[2:])
    mlmodels.update(library, admin, bare, ModelPatch(short_description="as before"))
    mlmodels.update(library, admin, bare, ModelPatch(name="never"))
    agree(library, admin, bare, [])


def test_another_hash_is_another_file(library: Library, admin: Actor) -> None:
    """Whatever the names say. A model without a file may be the one, as long as none has the hash."""
    same_name, _ = file_model(library, admin, FOX, "fox.safetensors")
    asset = made_with(library, admin, one(name="fox", hash=WRONG))
    assert shown(library, admin, asset) == (None, {})
    agree(library, admin, same_name, [])
    bare = mlmodels.create(library, admin, NewModel(name="Fox")).id
    assert shown(library, admin, asset) == (None, {bare: 1.0})
    agree(library, admin, bare, [asset])


def test_a_hash_beats_a_name_in_any_order(library: Library, admin: Actor) -> None:
    for number, order in enumerate(permutations(range(3))):
        name, data = f"fox{number}", FOX + bytes([number])
        hash = file_model(library, admin, data, "for the hash")[1].auto_v2
        made = dict[int, str]()
        make: list[Callable[[], str]] = [
            lambda: made_with(library, admin, one(name=name, hash=hash)),  # noqa: B023 - called here
            lambda: mlmodels.create(library, admin, NewModel(name=name)).id,  # noqa: B023
            lambda: file_model(library, admin, data, "x.safetensors")[0],  # noqa: B023
        ]
        for which in order:
            made[which] = make[which]()
        asset, bare, exact = made[0], made[1], made[2]
        agree(library, admin, bare, [])
        agree(library, admin, exact, [asset])
        assert len(shown(library, admin, asset)[1]) == 1


def test_the_role_has_to_be_the_same_where_names_decide(library: Library, admin: Actor) -> None:
    lora, _ = file_model(library, admin, FOX, "detail.safetensors", "lora")
    vae, file = file_model(library, admin, WOLF, "detail.safetensors", "vae")
    unknown, _ = file_model(library, admin, b"pickle", "detail.ckpt", "unknown")
    asset = made_with(library, admin, one("lora", "detail"))
    agree(library, admin, lora, [asset])
    agree(library, admin, vae, [])
    agree(library, admin, unknown, [asset])
    by_hash = made_with(library, admin, one("checkpoint", "x", file.auto_v2))
    agree(library, admin, vae, [by_hash])
    assert shown(library, admin, by_hash) == (vae, {})


def test_several_models_of_one_name_are_all_found_and_the_oldest_is_shown(library: Library, admin: Actor) -> None:
    asset = made_with(
        library, admin, one(name="fox", weight=0.5), one("checkpoint", "sd"), one("checkpoint", "refiner")
    )
    loras = [file_model(library, admin, data, "fox.safetensors")[0] for data in (FOX, WOLF)]
    bases = [
        file_model(library, admin, data, f"{name}.safetensors", "checkpoint")[0]
        for name, data in (("refiner", b"1"), ("sd", b"2"), ("sd", b"3"))
    ]
    for model in (*loras, *bases):
        agree(library, admin, model, [asset])
    assert shown(library, admin, asset) == (bases[1], {loras[0]: 0.5})
    mlmodels.delete(library, admin, loras[0])
    mlmodels.delete(library, admin, bases[1])
    assert shown(library, admin, asset) == (bases[2], {loras[1]: 0.5})


def test_a_hash_that_nobody_else_takes_does_not_speak_against_a_name(library: Library, admin: Actor) -> None:
    """InvokeAI writes BLAKE3; some write the hash of nothing where they have none."""
    model, file = file_model(library, admin, FOX, "fox.safetensors")
    blake = made_with(library, admin, one(name="fox", hash="ab" * 32), by="InvokeAI")
    nothing = made_with(library, admin, one(name="fox", hash="e3b0c44298fc"))
    odd = made_with(library, admin, one(name="fox", hash="1234567"), one(name="x", hash=file.sha256[:33]))
    agree(library, admin, model, [odd, nothing, blake])
    file_model(library, admin, bytes.fromhex("00"), "empty.safetensors", tensors_hash="e3b0c44298fc1c149afbf4c8996fb924"
               "27ae41e4649b934ca495991b7852b855")  # fmt: skip
    assert list(shown(library, admin, nothing)[1]) == [model]


def test_what_was_said_with_the_upload(library: Library, admin: Actor) -> None:
    lora, _ = file_model(library, admin, FOX, "fox.safetensors")
    base, _ = file_model(library, admin, WOLF, "sd.safetensors", "checkpoint")
    said = made_with(library, admin, one(name="fox"), one("checkpoint", "sd"), model_id=lora)
    assert shown(library, admin, said)[0] == lora
    agree(library, admin, lora, [said])
    agree(library, admin, base, [said])
    plain = assets.create(library, admin, assets.NewAsset("a", "", model_id=base), store_png(library)).id
    agree(library, admin, base, [plain, said])
    mlmodels.update(library, admin, base, ModelPatch(name="new"))
    mlmodels.delete(library, admin, base)
    assert assets_of(library, admin, base) == [plain]  # it says so itself
    assert assets.get(library, admin, plain).metadata.model_id == base
    mlmodels.restore(library, admin, base)
    agree(library, admin, base, [plain, said])


def a1111_png(text: str) -> bytes:
    """A picture as AUTOMATIC1111 writes it."""
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", f"a fox\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 2x2, {text}")
    Image.new("RGB", (2, 2)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_an_upload_is_linked_when_it_has_been_looked_into(library: Library, admin: Actor) -> None:
    """A picture at once, what takes longer once the worker has come to it."""
    base, _ = file_model(library, admin, FOX, "fox.safetensors", "checkpoint")
    new = new_asset("a.png", a1111_png("Model: fox"))
    stored = asset_bytes.store(library, admin, new)
    asset = assets.create(library, admin, new, stored)
    assert (asset.metadata.generator, asset.metadata.model_id) == ("AUTOMATIC1111", base)
    assert assets.get(library, admin, asset.id) == asset
    unseen = msgspec.structs.replace(stored, is_probed=False, generation=None)
    pending = assets.create(library, admin, assets.NewAsset("a.png", "", model_id=base), unseen)
    trashed = assets.create(library, admin, new, unseen)
    assets.delete(library, admin, [trashed.id])
    agree(library, admin, base, [pending.id, asset.id])
    assert do_jobs(library) == ["probe", "probe"]
    assets.restore(library, admin, [trashed.id])
    agree(library, admin, base, [trashed.id, pending.id, asset.id])


def test_copies_are_linked_and_other_projects_never(library: Library, admin: Actor, other: Actor) -> None:
    model, _ = file_model(library, admin, FOX, "fox.safetensors")
    foreign, _ = file_model(library, other, FOX, "fox.safetensors")
    asset = made_with(library, admin, one(name="fox"), model_id=model)
    copy = assets.copy(library, admin, asset)
    assert assets.get(library, admin, copy.id) == copy
    twin = mlmodels.copy(library, admin, model)
    original = mlmodels.get(library, admin, model)
    assert (twin.file, twin.facts, twin == mlmodels.get(library, admin, twin.id)) == (
        original.file,
        original.facts,
        True,
    )
    agree(library, admin, model, [copy.id, asset])
    agree(library, admin, twin.id, [copy.id, asset])
    agree(library, other, foreign, [])
    assert assets_of(library, admin, foreign) == assets_of(library, other, model) == []


def test_a_copy_in_another_project_finds_the_models_there(library: Library) -> None:
    key = new_key(library)
    first = sign_in(library, key)
    second = sign_in(library, key, projects.create(library, first, NewProject("Second")).id)
    here, _ = file_model(library, first, FOX, "fox.safetensors")
    there, _ = file_model(library, second, FOX, "fox.safetensors")
    asset = made_with(library, first, one(name="fox", weight=0.5), model_id=here)
    copy = assets.copy(library, first, asset, second.project_id)
    assert shown(library, second, copy.id) == (None, {there: 0.5})
    agree(library, second, there, [copy.id])
    agree(library, first, here, [asset])


def test_trash_hides_links_and_keeps_them(library: Library, admin: Actor) -> None:
    model, _ = file_model(library, admin, FOX, "fox.safetensors")
    first, second = (made_with(library, admin, one(name="fox")) for _ in range(2))
    assets.delete(library, admin, [second])
    agree(library, admin, model, [first])
    trash = assets.get_page(library, admin, AssetFilter(model_id=model, is_deleted=True)).items
    assert [asset.id for asset in trash] == [second]
    mlmodels.delete(library, admin, model)
    assert (assets_of(library, admin, model), shown(library, admin, first)) == ([], (None, {}))
    assets.restore(library, admin, [second])
    mlmodels.restore(library, admin, model)
    agree(library, admin, model, [second, first])


def test_links_go_with_what_is_swept(clock: Clock, library: Library, admin: Actor) -> None:
    model, file = file_model(library, admin, FOX, "fox.safetensors")
    bare = mlmodels.create(library, admin, NewModel(name="fox")).id
    first, second = (made_with(library, admin, one(name="fox", hash=file.auto_v2)) for _ in range(2))
    agree(library, admin, bare, [])
    assets.delete(library, admin, [first])
    mlmodels.delete(library, admin, model)
    agree(library, admin, bare, [])
    clock.move(ms=31 * DAY_MS)
    assert upkeep.sweep(library).models == 1
    with library.store.read() as tx:
        left = {table: len(tx.upkeep._query(f"SELECT 1 FROM {table}")) for table in LINK_TABLES}
    assert left == {"asset_use": 2, "model_alias": 3, "asset_ingredient": 1}
    agree(library, admin, bare, [second])  # it is the best guess now
    again, _ = file_model(library, admin, FOX, "fox.safetensors")
    agree(library, admin, again, [second])


LINK_TABLES = ("asset_use", "model_alias", "asset_ingredient")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("DELETE FROM asset_ingredient", "link"),
        ("DELETE FROM asset_use", "link"),
        ("DELETE FROM model_alias", "link"),
        ("UPDATE asset_ingredient SET asset = 99", "link-without-asset"),
        ("UPDATE asset_ingredient SET model = 99", "link-without-model"),
        ("INSERT INTO asset_use VALUES (1, 99, 'name:x', 'lora', NULL, 0, 1)", "link-without-asset"),
        ("INSERT INTO model_alias VALUES (1, 99, 'name:x')", "link-without-model"),
    ],
)
def test_wrong_links_are_found(library: Library, admin: Actor, damage: str, code: str) -> None:
    file_model(library, admin, FOX, "fox.safetensors")
    made_with(library, admin, one(name="fox"))
    run_sql(library.config, damage)
    assert code in {finding.code for finding in upkeep.check(library, is_quick=True)}


def test_many_assets_are_linked_in_slices(library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest at once, the others by the worker, who may be killed; meanwhile assets come, and names change."""
    monkeypatch.setattr(sql, "SLICE", 3)
    made = [made_with(library, admin, one(name=name)) for name in ("fox", "wolf") * 10]
    foxes, wolves = made[-2::-2], made[-1::-2]
    model = mlmodels.create(library, admin, NewModel(name="fox")).id
    assert assets_of(library, admin, model) == foxes[:3]
    assert upkeep.check(library) == []
    with library.store.write() as tx:
        assert tx.jobs.claim() is not None  # by a worker that is killed
    late = made_with(library, admin, one(name="fox"))
    assert assets_of(library, admin, model) == [late, *foxes[:3]]
    mlmodels.update(library, admin, model, ModelPatch(name="wolf"))
    assert set(assets_of(library, admin, model)) >= set(wolves[:2])
    assert do_jobs(library) == ["link"]
    agree(library, admin, model, wolves)
    mlmodels.update(library, admin, model, ModelPatch(name="none"))
    assert do_jobs(library) == ["link"]
    agree(library, admin, model, [])


def test_a_job_that_was_taken_away_or_given_up(clock: Clock, library: Library, admin: Actor) -> None:
    model = mlmodels.create(library, admin, NewModel(name="fox")).id
    with library.store.write() as tx:
        for subject in (model, "model_never"):
            tx.jobs.add(admin.owner, "link", subject, "2000")
        job = tx.jobs.claim()
    assert job is not None
    clock.move(ms=LEASE_MS)
    assert do_jobs(library) == ["link", "link"]
    with pytest.raises(PinakesError, match="taken up by another"):
        ingredients.settle(library, job)
    with library.store.write() as tx:
        tx.jobs.add(admin.owner, "link", model, "2000")
        job = tx.jobs.claim()
    assert job is not None
    ingredients.give_up(library, job, "a bug")
    with library.store.read() as tx:
        assert tx.jobs.waiting() == 0


def test_a_late_model_and_10_000_assets(library: Library, admin: Actor) -> None:
    """Nobody waits long: the same few statements as for a model that nothing was made with, then slices."""
    newest = made_with(library, admin, one(name="fox"), one("checkpoint", "sd", "ab" * 5))
    copies = "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)"
    columns = "owner, name, kind, type, mime_type, sha256, size, author_id, created_at, updated_at, generation"
    run_sql(
        library.config,
        f"{copies} INSERT INTO asset (number, id, {columns}) SELECT n, 'asset_' || n, {columns} FROM n, asset",
        f"{copies} INSERT INTO asset_use SELECT owner, n, key, role, weight, position, sure FROM n, asset_use",
    )
    with library.store.transaction() as tx:
        tx.upkeep.learn()  # as the worker does
    costs, times = [], []
    for name in ("none", "fox"):
        before, begun = library.store.statements(), time.monotonic()
        model = mlmodels.create(library, admin, NewModel(name=name)).id
        costs.append(library.store.statements() - before)
        times.append(time.monotonic() - begun)
    assert (costs[1] - costs[0], times[1] < 0.5) == (1, True)  # the job
    assert len(assets_of(library, admin, model)) == sql.SLICE
    begun = time.monotonic()
    assert do_jobs(library) == ["link"]
    assert time.monotonic() - begun < 10
    assert len(found := assets_of(library, admin, model)) == 10_000
    assert found[-1] == newest
    with library.store.read() as tx:
        assert [row for row in tx.upkeep.contradictions() if "link" in row[0]] == []
