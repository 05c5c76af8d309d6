"""Answers that get lost: the SDK asks again, and what is there afterwards is what one request would have left."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from conftest import OpenDatabase
from proxy import Fault, Proxy, proxy_before
from scenario_sdk import APIConnectionError, BadRequestError, NotFoundError, Scenario, _base_client
from servers import Server, findings, make_place, serving

ASSETS = 9


class Site(NamedTuple):
    """A client behind the proxy, one before the server, and things to work on."""

    proxy: Proxy
    sdk: Scenario
    direct: Scenario
    collection: str
    model: str
    assets: list[str]

    def collection_now(self) -> Any:
        return self.direct.collections.retrieve(self.collection).collection

    def members(self) -> set[str]:
        return {asset.id for asset in self.direct.assets.list(collection_id=self.collection)}

    def tags_of(self, asset: str) -> set[str]:
        return set(self.direct.assets.retrieve(asset).asset.tags)

    def tag_counts(self) -> dict[str, float]:
        return {tag.tag_name: tag.item_count for tag in self.direct.tags.list()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, open_database: OpenDatabase) -> Iterator[Server]:
    with open_database() as url:
        place = make_place(tmp_path_factory.mktemp("retries"), ASSETS, database_url=url)
        with serving(place) as server:
            yield server
            assert findings(place) == []


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[tuple[Proxy, Scenario, Scenario]]:
    """A proxy, a client behind it, and one that asks the server itself."""
    key, secret = server.place.auth
    with (
        proxy_before(server) as proxy,
        Scenario(api_key=key, api_secret=secret, base_url=proxy.url) as sdk,
        Scenario(api_key=key, api_secret=secret, base_url=f"{server.url}/v1") as direct,
    ):
        yield proxy, sdk, direct


@pytest.fixture
def site(server: Server, clients: tuple[Proxy, Scenario, Scenario], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A collection with three of the assets and a model; the first asset is tagged `old`."""
    monkeypatch.setattr(_base_client, "INITIAL_RETRY_DELAY", 0.05)  # half a second, as a rule
    proxy, sdk, direct = clients
    proxy.tries.clear()
    assets = server.place.asset_ids
    collection = direct.collections.create(name="before").collection.id
    model = direct.models.create(name="before").model.id
    direct.collections.assets.add(collection, asset_ids=assets[:3])
    direct.collections.models.add(collection, model_ids=[model])
    direct.assets.update_tags(assets[0], add=["old"], strict=False)
    yield Site(proxy, sdk, direct, collection, model, assets)
    direct.assets.restore_multiple(asset_ids=assets)
    direct.assets.update_tags(assets[0], delete=["new", "old"], strict=False)
    direct.collections.delete(collection)


Expect = Callable[[Site], bool]


def add(site: Site) -> Expect:
    site.sdk.collections.assets.add(site.collection, asset_ids=site.assets)
    return lambda site: site.members() == set(site.assets) and site.collection_now().asset_count == ASSETS


def remove(site: Site) -> Expect:
    site.sdk.collections.assets.remove(site.collection, asset_ids=site.assets[:2])
    return lambda site: site.members() == {site.assets[2]} and site.collection_now().asset_count == 1


def add_models(site: Site) -> Expect:
    other = site.direct.models.create(name="other").model.id
    site.sdk.collections.models.add(site.collection, model_ids=[site.model, other])
    return lambda site: site.collection_now().api_model_count == 2


def remove_models(site: Site) -> Expect:
    site.sdk.collections.models.remove(site.collection, model_ids=[site.model])
    return lambda site: site.collection_now().api_model_count == 0


def update_collection(site: Site) -> Expect:
    answer = site.sdk.collections.update(site.collection, name="after", thumbnail=site.assets[0])
    assert answer.collection.name == "after"
    return lambda site: site.collection_now().name == "after"


def update_asset(site: Site) -> Expect:
    site.sdk.assets.update(site.assets[1], description="after")
    return lambda site: site.direct.assets.retrieve(site.assets[1]).asset.description == "after"


def update_model(site: Site) -> Expect:
    site.sdk.models.update(site.model, name="after")
    return lambda site: site.direct.models.retrieve(site.model).model.name == "after"


def delete_collection(site: Site) -> Expect:
    gone = site.direct.collections.create(name="gone").collection.id
    site.direct.collections.assets.add(gone, asset_ids=site.assets)
    site.sdk.collections.delete(gone)
    return lambda site: gone not in site.direct.assets.retrieve(site.assets[0]).asset.collection_ids


def delete_model(site: Site) -> Expect:
    site.sdk.models.delete(site.model)
    return lambda site: site.collection_now().api_model_count == 0


def restore_model(site: Site) -> Expect:
    site.direct.models.delete(site.model)
    assert site.sdk.models.restore(site.model).model.collection_ids == [site.collection]
    return lambda site: site.collection_now().api_model_count == 1


def delete_assets(site: Site) -> Expect:
    site.sdk.assets.delete_multiple(asset_ids=site.assets[:2])
    return lambda site: site.members() == {site.assets[2]} and "old" not in site.tag_counts()


def restore_assets(site: Site) -> Expect:
    site.direct.assets.delete_multiple(asset_ids=site.assets[:2])
    site.sdk.assets.restore_multiple(asset_ids=site.assets[:2])
    return lambda site: site.members() == set(site.assets[:3]) and site.tag_counts()["old"] == 1


def tag_strictly(site: Site) -> Expect:
    site.sdk.assets.update_tags(site.assets[0], add=["new"], delete=["old"])
    return lambda site: site.tags_of(site.assets[0]) == {"new"} and "old" not in site.tag_counts()


def tag_model_strictly(site: Site) -> Expect:
    site.sdk.models.update_tags(site.model, add=["of a model"])
    return lambda site: set(site.direct.models.retrieve(site.model).model.tags) == {"of a model"}


def delete_key(site: Site) -> Expect:
    project = site.direct.projects.list().projects[0].id
    key = site.direct.projects.api_keys.create(project, name="gone")
    site.sdk.projects.api_keys.delete(key.id, project_id=project)
    return lambda site: key.id not in [one.id for one in site.direct.projects.retrieve(project).project.keys]


def delete_project(site: Site) -> Expect:
    project = site.direct.projects.create(name="gone").project.id
    site.sdk.projects.delete(project)
    return lambda site: project not in [one.id for one in site.direct.projects.list().projects]


CALLS = [
    add,
    remove,
    add_models,
    remove_models,
    update_collection,
    update_asset,
    update_model,
    delete_collection,
    delete_model,
    restore_model,
    delete_assets,
    restore_assets,
    tag_strictly,
    tag_model_strictly,
    delete_key,
    delete_project,
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["lost", "busy"])
def test_done_once(site: Site, call: Callable[[Site], Expect], fault: Fault) -> None:
    site.proxy.faults.append(fault)
    expect = call(site)
    assert [one.repeat for one in site.proxy.tries] == ["0", "1"]
    assert expect(site)


@pytest.mark.parametrize("call", [add, tag_strictly])
def test_two_answers_lost(site: Site, call: Callable[[Site], Expect]) -> None:
    site.proxy.faults.extend(["lost", "lost"])
    expect = call(site)
    assert [one.repeat for one in site.proxy.tries] == ["0", "1", "2"]
    assert expect(site)


@pytest.mark.parametrize("call", [remove, delete_collection, restore_model])
def test_an_answer_that_comes_too_late(site: Site, call: Callable[[Site], Expect]) -> None:
    site.proxy.faults.append("late")
    hasty = site._replace(sdk=site.sdk.with_options(timeout=0.3))
    expect = call(hasty)
    assert [one.repeat for one in site.proxy.tries] == ["0", "1"]
    assert expect(site)


@pytest.mark.parametrize("call", [add, remove])
def test_asking_again_changes_nothing_at_all(site: Site, call: Callable[[Site], Expect]) -> None:
    """Not even when the collection was last changed."""
    site.proxy.faults.append("lost")
    call(site)
    first, second = (json.loads(one.answer)["collection"] for one in site.proxy.tries)
    assert first == second


def test_an_answer_that_never_comes(site: Site) -> None:
    """The client gives up, the change is made; who looks again sees it."""
    site.proxy.faults.extend(["lost"] * 3)
    with pytest.raises(APIConnectionError):
        site.sdk.collections.assets.add(site.collection, asset_ids=site.assets)
    assert site.members() == set(site.assets)


def test_a_refusal_is_not_repeated(site: Site) -> None:
    with pytest.raises(NotFoundError):
        site.sdk.collections.assets.add(site.collection, asset_ids=["nothing"])
    with pytest.raises(BadRequestError):
        site.sdk.assets.update_tags(site.assets[0], add=["old"])
    assert [one.repeat for one in site.proxy.tries] == ["0", "0"]
