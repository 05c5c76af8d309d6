"""The language of filters: what binds how, what a value may be, and that a wrong text is told where it is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinakes import filters
from pinakes.errors import PinakesError
from pinakes.filter_text import parse
from pinakes.filters import AllOf, AnyOf, Comparison, Filter, Not

KIND, TAG, WIDE = Comparison("kind", "in", ("image",)), Comparison("tags", "in", ("a",)), Comparison("width", ">", (9,))


def refused(text: str, noun: filters.Noun = "asset") -> PinakesError:
    with pytest.raises(PinakesError) as caught:
        parse(text, noun)
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_REQUEST", "filter")
    assert caught.value.message.startswith("filter: ")
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind = image", KIND),
        ("kind=image", KIND),
        ("  ((kind\n= 'image' ))", KIND),
        ("kind != image", Not(KIND)),
        ("NOT kind = image", Not(KIND)),
        ("not not kind = image", KIND),
        ("kind NOT IN [image]", Not(KIND)),
        ("kind IN [image, video]", Comparison("kind", "in", ("image", "video"))),
        ("kind in []", Comparison("kind", "in", ())),
        ("tags EXISTS", Comparison("tags", "exists")),
        ("tags not exists", Not(Comparison("tags", "exists"))),
        ("kind = image AND tags = a AND width > 9", AllOf((KIND, TAG, WIDE))),
        ("kind = image OR tags = a AND width > 9", AnyOf((KIND, AllOf((TAG, WIDE))))),
        ("kind = image AND tags = a OR width > 9", AnyOf((AllOf((KIND, TAG)), WIDE))),
        ("(kind = image OR tags = a) AND width > 9", AllOf((AnyOf((KIND, TAG)), WIDE))),
        ("NOT kind = image AND tags = a", AllOf((Not(KIND), TAG))),
        ("NOT (kind = image AND tags = a)", Not(AllOf((KIND, TAG)))),
    ],
)
def test_what_binds_how(text: str, expected: Filter) -> None:
    assert parse(text, "asset") == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name = and", "and"),
        ("name = android.png", "android.png"),
        ("name = 12", "12"),
        ('name = "a \\" b"', 'a " b'),
        ("name = 'it\\'s'", "it's"),
        (r'name = "a\\b\n"', r"a\bn"),
        ('name = ""', ""),
        ("name = 東京🦊", "東京🦊"),
        ("mimeType = image/png", "image/png"),
        ("width = 12", 12),
        ("width = -1.5", -1.5),
        ("size = 1e6", 1_000_000),
        ("createdAt = 2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000Z"),
        ("createdAt = '2026-01-31 12:00'", "2026-01-31T12:00:00.000Z"),
        ("createdAt = 2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("createdAt = 1769860800", "2026-01-31T12:00:00.000Z"),
        ("createdAt = 1769860800.25", "2026-01-31T12:00:00.250Z"),
    ],
)
def test_values(text: str, value: str | float) -> None:
    found = parse(text, "asset")
    assert isinstance(found, Comparison)
    assert found.values == (value,)


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 1, "expected a field, NOT or (, found the end"),
        ("kind", 5, "expected = != > >= < <=, NOT, IN or EXISTS, found the end"),
        ("kind =", 7, "expected a value, found the end"),
        ("kind = image foo", 14, "found 'foo'"),
        ("kind = image AND", 17, "expected a field, NOT or (, found the end"),
        ("(kind = image", 14, "found the end"),
        ("kind = image)", 13, "found ')'"),
        ("kind IN image", 9, "expected [, found 'image'"),
        ("kind IN [image", 15, "found the end"),
        ('name = "abc', 8, 'the quote " is never closed'),
        ("colour = red", 1, "there is no field 'colour'; there are authorId, collectionIds, createdAt,"),
        ("kind = image OR Tags = a", 17, "there is no field 'Tags'"),
        ("width = wide", 9, "width is compared with a number, not with 'wide'"),
        ("width = '9'", 9, "width is compared with a number"),
        ("width = 1e999", 9, "width is compared with a number"),
        ("width = nan", 9, "width is compared with a number"),
        ("createdAt > yesterday", 13, "createdAt is compared with a time such as 2026-01-31T12:00:00Z"),
        ("createdAt > 99999999999999999999", 13, "createdAt is compared with a time"),
        ("name > a", 6, "name has no order; use =, !=, IN or EXISTS"),
        ("tags >= a", 6, "tags has no order"),
        ("kind = picture", 8, "no kind is 'picture'; there are 3d, audio, document,"),
        ("width = 1 @ 2", 11, "found '@'"),
        ("width = 1;", 9, "width is compared with a number, not with '1;'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, position: int, says: str) -> None:
    error = refused(text)
    assert error.message.startswith(f"filter: at character {position}: ")
    assert says in error.message
    assert error.details["position"] == position


def test_a_field_of_the_other_noun_is_unknown() -> None:
    assert "width" in refused("width = 1", "model").message
    assert parse("type = 'flux.1-lora'", "model") == Comparison("type", "in", ("flux.1-lora",))
    assert refused("parentModelId = a").details["fields"] == sorted(filters.FIELDS["asset"])


@pytest.mark.parametrize(
    "text",
    [
        "width = 1" + " " * 4_090,
        " OR ".join(["width = 1"] * 101),
        f"width IN [{','.join('1' * 101)}]",
        f"width IN [{','.join('1' * 60)}] AND width IN [{','.join('1' * 60)}]",
        "(width = 1 AND (width = 1 OR " * 11 + "width = 1" + "))" * 11,
    ],
)
def test_more_than_anybody_needs_is_refused(text: str) -> None:
    assert "at most" in refused(text).message


def test_what_is_long_and_harmless_passes() -> None:
    one = Comparison("width", "in", (1,))
    assert parse("(" * 1_500 + "width = 1" + ")" * 1_500, "asset") == one
    assert parse("NOT " * 1_000 + "width = 1", "asset") == one
    assert parse(" AND ".join(["width = 1"] * 100), "asset") == AllOf((one,) * 100)


PIECES = """kind tags width createdAt = != > <= IN NOT EXISTS AND OR ( ) [ ] , image 12 "a b" ' " \\ 2026-01-31 é"""
pieces = st.sampled_from([*PIECES.split(" "), '"a b"', "\0", "\n", "x" * 50])


@settings(max_examples=1_000, deadline=None, database=None)
@given(st.lists(pieces, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        parse(text, "asset")
    except PinakesError as error:
        caught = error
    else:
        return
    assert caught.code == "BAD_REQUEST"
    assert 1 <= caught.details.get("position", 1) <= len(text) + 1


texts = st.text(max_size=8)
tests: st.SearchStrategy[Filter] = st.one_of(
    st.builds(lambda value: Comparison("name", "in", (value,)), texts),
    st.builds(lambda values: Comparison("tags", "in", tuple(values)), st.lists(texts, max_size=3)),
    st.builds(lambda value: Comparison("width", ">=", (value,)), st.integers(-99, 99)),
    st.just(Comparison("modelId", "exists")),
)
trees: st.SearchStrategy[Filter] = st.recursive(
    tests,
    lambda some: (
        st.builds(lambda part: part.part if isinstance(part, Not) else Not(part), some)
        | st.builds(lambda parts: AllOf(tuple(parts)), st.lists(some, min_size=2, max_size=3))
        | st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(some, min_size=2, max_size=3))
    ),
    max_leaves=12,
)


def written(filter: Filter) -> str:
    """A text of a tree, with all the parentheses there can be."""
    match filter:
        case Not(part):
            return f"NOT ({written(part)})"
        case AllOf(parts):
            return " AND ".join(f"({written(part)})" for part in parts)
        case AnyOf(parts):
            return " OR ".join(f"({written(part)})" for part in parts)
        case Comparison(field, "exists"):
            return f"{field} EXISTS"
        case Comparison(field, "in", values) if len(values) != 1:
            return f"{field} IN [{', '.join(map(_shown, values))}]"
        case Comparison(field, operator, values):
            return f"{field} {operator.replace('in', '=')} {_shown(values[0])}"


def _shown(value: str | float) -> str:
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@settings(max_examples=300, deadline=None, database=None)
@given(trees)
def test_what_is_written_is_read(tree: Filter) -> None:
    assert parse(written(tree), "asset") == tree
