"""The project, key and team calls, made by the official SDK; and whether any call was forgotten."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import scenario_sdk

from api import (
    test_downloads,
    test_sdk_assets,
    test_sdk_collections,
    test_sdk_models,
    test_sdk_search,
    test_sdk_uploads,
)
from api.clients import Key, Sdk, open_http, open_sdk
from pinakes import projects
from pinakes.access import Actor
from pinakes.api import projects as calls
from pinakes.api.call import Call, Threads
from pinakes.library import Library

CALLS = """
    collections.list collections.create collections.retrieve collections.update collections.delete
    collections.assets.add collections.assets.remove collections.models.add collections.models.remove
    assets.upload assets.list assets.retrieve assets.update assets.update_tags assets.get_bulk assets.duplicate
    assets.delete_multiple assets.restore_multiple
    assets.download.request assets.download.request_batch assets.download.get_status models.download
    uploads.create uploads.retrieve uploads.trigger_action search.asset_search search.model_search
    models.create models.list models.retrieve models.update models.update_tags models.get_bulk models.copy models.delete
    models.restore models.description.retrieve models.description.update models.examples.list models.examples.update
    tags.list
    projects.list projects.create projects.retrieve projects.update projects.delete projects.api_keys.create
    projects.api_keys.delete teams.list teams.retrieve teams.retrieve_limits
"""


@pytest.mark.calls("projects.create", "projects.retrieve", "projects.update", "projects.list", "projects.delete")
def test_life_of_a_project(sdk: Sdk, key: Key) -> None:
    made = sdk.projects.create(name="Forest game", privacy_mode=True).project
    assert (made.name, made.privacy_mode, made.keys, made.users) == ("Forest game", True, [], [])
    assert sdk.projects.retrieve(made.id).project.to_dict() == made.to_dict()
    changed = sdk.projects.update(made.id, name="Forest game II", description="Second part").project
    assert (changed.name, changed.to_dict()["description"]) == ("Forest game II", "Second part")
    others = [sdk.projects.create(name=f"{i}").project.id for i in range(2)]
    seen = [others[1], others[0], made.id, key.project_id]
    assert [project.id for project in sdk.projects.list.walk(page_size=2)] == seen
    assert [project.id for project in sdk.projects.list(team_id=made.team_id).projects] == seen

    collection = sdk.collections.create(name="There", project_id=made.id).collection
    assert collection.owner_id == made.id
    assert sdk.collections.list().collections == []
    sdk.projects.delete(made.id)
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.projects.retrieve(made.id)
    with pytest.raises(scenario_sdk.PermissionDeniedError):
        sdk.collections.list(project_id=made.id)
    with pytest.raises(scenario_sdk.BadRequestError):
        sdk.projects.delete(key.project_id)


@pytest.mark.calls("projects.api_keys.create", "projects.api_keys.delete")
def test_a_key_works_until_it_is_revoked(sdk: Sdk, url: str, key: Key) -> None:
    made = sdk.projects.api_keys.create(key.project_id, name="Plugin", role="reader")
    assert (made.owner_id, made.owner_type, made.author_id) == (key.project_id, "project", key.id)
    with open_sdk("sync", url, Key(made.id, made.secret, key.project_id)) as plugin:
        assert plugin.collections.list().collections == []
        with pytest.raises(scenario_sdk.PermissionDeniedError):
            plugin.collections.create(name="x")
        listed = {shown.id: shown.role for shown in sdk.projects.retrieve(key.project_id).project.keys}
        assert listed[made.id] == "reader"
        assert made.secret not in str(sdk.projects.retrieve(key.project_id))
        sdk.projects.api_keys.delete(made.id, project_id=key.project_id)
        with pytest.raises(scenario_sdk.AuthenticationError):
            plugin.collections.list()
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.projects.api_keys.delete(made.id, project_id=key.project_id)
    with pytest.raises(scenario_sdk.BadRequestError, match="role"):
        sdk.projects.api_keys.create(key.project_id, role="king")


@pytest.mark.calls("teams.list", "teams.retrieve", "teams.retrieve_limits")
def test_the_team(sdk: Sdk, key: Key) -> None:
    (team,) = sdk.teams.list().teams
    assert sdk.teams.retrieve(team.id).team.to_dict() == team.to_dict()
    assert [project.id for project in team.projects] == [key.project_id]
    before = sdk.teams.retrieve_limits(team.id)
    sdk.collections.create(name="One more")
    after = sdk.teams.retrieve_limits(team.id)
    assert after.values.collections >= before.values.collections + 1
    assert after.limits.collections > 1_000_000
    assert after.period.start < after.period.end
    with pytest.raises(scenario_sdk.NotFoundError):
        sdk.teams.retrieve("team_unknown")


def test_the_team_is_read_off_the_event_loop(library: Library, admin: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has as many projects and keys as the key may see."""
    seen: list[int] = []
    read, team_id = projects.get_team, projects.get_team(library, admin).id

    def get_team(library: Library, actor: Actor, id: str | None = None) -> projects.Team:
        seen.append(threading.get_ident())
        return read(library, actor, id)

    async def ask() -> None:
        threads = Threads(library)
        for call, params in ((calls.get_teams, []), (calls.get_team, [team_id])):
            await call(Call(library, threads, admin, params, {}))
        threads.close()

    monkeypatch.setattr(projects, "get_team", get_team)
    asyncio.run(ask())
    assert len(seen) == 2
    assert threading.get_ident() not in seen


def test_the_description_says_that_a_role_may_be_scopes(url: str) -> None:
    with open_http(url) as client:
        schemas = client.get(f"{url}/openapi.json").json()["components"]["schemas"]
    assert "scopes such as `assets.read;collections.write`" in schemas["NewApiKey"]["properties"]["role"]["description"]


def test_no_call_was_forgotten() -> None:
    """The `sdk` fixture sees to it that a test makes the calls it names; here all names together are all calls."""
    modules = (
        test_sdk_collections,
        test_sdk_assets,
        test_sdk_models,
        test_sdk_uploads,
        test_sdk_search,
        test_downloads,
    )
    named = {name for module in modules for name in _calls(vars(module))} | set(_calls(globals()))
    assert named == set(CALLS.split())
    assert len(named) == 9 + 42


def _calls(module: dict[str, object]) -> Iterator[str]:
    for value in module.values():
        for mark in getattr(value, "pytestmark", []):
            if mark.name == "calls":
                yield from mark.args
