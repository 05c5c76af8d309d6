"""Model calls."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinakes import errors, mlmodels
from pinakes.api.assets import MOST_TAGS, AssetQuery, forgiving, sorting, types_of
from pinakes.api.call import Call
from pinakes.api.http import Empty
from pinakes.api.routes import ProjectQuery, Routes
from pinakes.mlmodels import ModelFilter, ModelPatch, NewModel
from pinakes.model_types import Description, Example, MinimalModel, MLModel, ModelType
from pinakes.tags import TagChange, TagReport
from pinakes.text import Id, Prose, Time

routes = Routes()

_TYPES = frozenset(get_args(ModelType))
_TAGS = {"add": ["character"], "delete": [], "strict": False}


class ModelsQuery(ProjectQuery, frozen=True, rename="camel"):
    """Which models a page holds."""

    page_size: Annotated[int, Meta(ge=1, le=500)] = 100
    pagination_token: str | None = None
    collection_id: str | None = None
    collection_ids: tuple[str, ...] = ()
    type: ModelType | None = None
    types: tuple[ModelType, ...] = ()
    tags: Annotated[tuple[str, ...], Meta(max_length=MOST_TAGS)] = ()
    privacy: Literal["private", "public", "unlisted"] = "private"
    status: Literal["new", "training", "trained", "failed", "copying", "training-canceled", "deleted"] | None = None
    sort_by: Literal["createdAt", "updatedAt", "score"] | None = None
    sort_direction: Literal["asc", "desc"] = "desc"
    created_after: Time | None = None
    created_before: Time | None = None
    updated_after: Time | None = None
    updated_before: Time | None = None
    loaded_only: bool = False
    original_assets: bool = False


class OneModel(msgspec.Struct, frozen=True):
    """`{model}`"""

    model: MLModel


class ModelPage(msgspec.Struct, frozen=True, rename="camel"):
    """`{models, nextPaginationToken?}`"""

    models: list[MLModel]
    next_pagination_token: str | UnsetType = UNSET


class ModelList(msgspec.Struct, frozen=True):
    """`{models}`, whole models unless `minimal` asked for only the base details."""

    models: Sequence[MinimalModel]


class BulkModelIds(msgspec.Struct, frozen=True, rename="camel"):
    """1 to 200 models."""

    model_ids: Annotated[list[Id], Meta(min_length=1, max_length=mlmodels.MOST_BULK)]
    minimal: bool = False


class CopyModel(msgspec.Struct, frozen=True, rename="camel"):
    """What the copy takes along."""

    copy_as_trained: bool = False
    copy_examples: bool = True


class DescriptionAnswer(msgspec.Struct, frozen=True):
    """`{description}`"""

    description: Description


class NewDescription(msgspec.Struct, frozen=True):
    """Markdown."""

    description: Prose


class ExamplesAnswer(msgspec.Struct, frozen=True):
    """`{examples}`"""

    examples: list[Example]


class ExampleIds(msgspec.Struct, frozen=True, rename="camel"):
    """Up to 100 assets, in order."""

    asset_ids: Annotated[list[Id], Meta(max_length=mlmodels.MOST_EXAMPLES)]


@routes.add("GET", "/models", mlmodels.get_page, ModelPage, query=ModelsQuery, errors=("NOT_FOUND",))
async def get_page(call: Call[ModelsQuery, None]) -> ModelPage:
    """List models, newest first unless sorted otherwise. `status=deleted` lists the trash."""
    query = call.query
    filter = _filter(query)
    if query.loaded_only:
        return ModelPage([])  # nothing runs here, so no model is loaded
    args = (filter, query.page_size, query.pagination_token)
    page = await call.read(mlmodels.get_page, *args) if filter == _ALL else await call.scan(mlmodels.get_page, *args)
    return ModelPage(page.items, page.token or UNSET)


@routes.add(
    "POST",
    "/models",
    mlmodels.create,
    OneModel,
    query=AssetQuery,
    body=NewModel,
    example={"name": "Cinematic Realism", "type": "flux.1-lora"},
    errors=("NOT_FOUND",),
    needs_body=False,
)
async def create(call: Call[Any, NewModel]) -> OneModel:
    """Create a model. `id` registers one that is known elsewhere, such as `flux.1-dev`, under its own name."""
    return OneModel(await call.write(mlmodels.create, call.body, call.is_repeat))


@routes.add(
    "POST",
    "/models/get-bulk",
    mlmodels.get_bulk,
    ModelList,
    query=AssetQuery,
    body=BulkModelIds,
    example={"modelIds": ["flux.1-dev"]},
)
async def get_bulk(call: Call[Any, BulkModelIds]) -> ModelList:
    """Get models by their ids, in that order; unknown ids are left out."""
    found = await call.read(mlmodels.get_bulk, call.body.model_ids)
    return ModelList([mlmodels.minimal(model) for model in found] if call.body.minimal else found)


@routes.add("GET", "/models/{modelId}", mlmodels.get, OneModel, query=AssetQuery, errors=("NOT_FOUND",))
async def get(call: Call[Any, None]) -> OneModel:
    """Get a model."""
    return OneModel(await call.read(mlmodels.get, call.params[0]))


@routes.add(
    "PUT",
    "/models/{modelId}",
    mlmodels.update,
    OneModel,
    query=AssetQuery,
    body=ModelPatch,
    example={"shortDescription": "Highly detailed cinematic scenes."},
    errors=("NOT_FOUND",),
)
async def update(call: Call[Any, ModelPatch]) -> OneModel:
    """Change a model; a null thumbnail or epoch is unset, what is absent stays."""
    return OneModel(await call.write(mlmodels.update, call.params[0], call.body))


@routes.add("DELETE", "/models/{modelId}", mlmodels.delete, Empty, errors=("NOT_FOUND",))
async def delete(call: Call[Any, None]) -> Empty:
    """Move a model to the trash."""
    await call.write(mlmodels.delete, call.params[0], call.is_repeat)
    return Empty()


@routes.add(
    "POST",
    "/models/{modelId}/restore",
    mlmodels.restore,
    OneModel,
    query=AssetQuery,
    errors=("NOT_FOUND", "GONE"),
)
async def restore(call: Call[Any, None]) -> OneModel:
    """Bring a model back from the trash, with tags and collections."""
    return OneModel(await call.write(mlmodels.restore, call.params[0], call.is_repeat))


@routes.add(
    "PUT",
    "/models/{modelId}/tags",
    mlmodels.update_tags,
    TagReport,
    body=TagChange,
    example=_TAGS,
    errors=("NOT_FOUND",),
)
async def update_tags(call: Call[Any, TagChange]) -> TagReport:
    """Add and delete a model's tags. Strict by default: what is there already, or is not there, is an error."""
    return await call.write(mlmodels.update_tags, call.params[0], forgiving(call))


@routes.add(
    "POST",
    "/models/{modelId}/copy",
    mlmodels.copy,
    OneModel,
    query=AssetQuery,
    body=CopyModel,
    needs_body=False,
    errors=("NOT_FOUND",),
)
async def copy(call: Call[Any, CopyModel]) -> OneModel:
    """Copy a model, with its tags and, unless `copyExamples` is false, its examples."""
    body = call.body
    return OneModel(await call.write(mlmodels.copy, call.params[0], body.copy_as_trained, body.copy_examples))


@routes.add(
    "GET",
    "/models/{modelId}/description",
    mlmodels.get_description,
    DescriptionAnswer,
    query=AssetQuery,
    errors=("NOT_FOUND",),
)
async def get_description(call: Call[Any, None]) -> DescriptionAnswer:
    """Get a model's markdown, with the first 100 assets and 100 models that it mentions by id."""
    return DescriptionAnswer(await call.scan(mlmodels.get_description, call.params[0]))


@routes.add(
    "PUT",
    "/models/{modelId}/description",
    mlmodels.update_description,
    DescriptionAnswer,
    query=AssetQuery,
    body=NewDescription,
    example={"description": "Works best with **soft light**."},
    errors=("NOT_FOUND",),
)
async def update_description(call: Call[Any, NewDescription]) -> DescriptionAnswer:
    """Replace a model's markdown."""
    await call.write(mlmodels.update_description, call.params[0], call.body.description)
    return DescriptionAnswer(await call.scan(mlmodels.describe, call.body.description))


@routes.add(
    "GET", "/models/{modelId}/examples", mlmodels.get_examples, ExamplesAnswer, query=AssetQuery, errors=("NOT_FOUND",)
)
async def get_examples(call: Call[Any, None]) -> ExamplesAnswer:
    """List a model's examples in their order."""
    return ExamplesAnswer(await call.read(mlmodels.get_examples, call.params[0]))


@routes.add(
    "PUT",
    "/models/{modelId}/examples",
    mlmodels.update_examples,
    ExamplesAnswer,
    query=AssetQuery,
    body=ExampleIds,
    example={"assetIds": ["asset_0352cEzJ2TFiF3EpfsKGyC"]},
    errors=("NOT_FOUND",),
)
async def update_examples(call: Call[Any, ExampleIds]) -> ExamplesAnswer:
    """Replace a model's examples, in this order."""
    return ExamplesAnswer(await call.write(mlmodels.update_examples, call.params[0], call.body.asset_ids))


_ALL = ModelFilter()


def _filter(query: ModelsQuery) -> ModelFilter:
    if query.collection_id is not None and query.privacy == "public":
        raise errors.bad_request("collectionId", "needs privacy=private or unlisted; with public use collectionIds")
    if query.collection_ids and query.privacy != "public":
        raise errors.bad_request("collectionIds", "needs privacy=public; with private use collectionId")
    # There are no scores here: sorting by them is sorting by creation.
    sort_by, after, before = sorting(
        None if query.sort_by == "score" else query.sort_by,
        (query.created_after, query.created_before),
        (query.updated_after, query.updated_before),
    )
    return ModelFilter(
        collection_ids=query.collection_ids if query.collection_id is None else (query.collection_id,),
        types=types_of(query.type, query.types, _TYPES),
        tags=tuple(dict.fromkeys(query.tags)),
        status=None if query.status == "deleted" else query.status,
        privacy=query.privacy,
        after=after,
        before=before,
        sort_by=sort_by,
        is_ascending=query.sort_direction == "asc",
        is_deleted=query.status == "deleted",
    )
