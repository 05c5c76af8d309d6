"""The language of a search's `filter`: text to a small tree, and what is wrong with a text that is none.

    kind = image AND (width >= 1024 OR tags IN ["cover art", hero]) AND NOT createdAt < 2026-01-31

    filter     = all ("OR" all)*                        binds least
    all        = negation ("AND" negation)*
    negation   = "NOT" negation | "(" filter ")" | test  binds most
    test       = field ("=" | "!=" | ">" | ">=" | "<" | "<=") value
               | field ["NOT"] "IN" "[" [value ("," value)*] "]"
               | field ["NOT"] "EXISTS"
    value      = a number, a time, a word, or a text in " or ', in which a backslash takes the next character as it is

Keywords may be in any case, fields may not. A time is RFC 3339, a date, or seconds since 1970. A field of which a thing
has several values (`tags`) equals each of them. What a thing lacks equals nothing, and is neither more nor less.
"""

import datetime as dt
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, NoReturn

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, v_args

from pinakes import ids
from pinakes.errors import PinakesError, bad_request
from pinakes.filters import (
    FIELDS,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_TESTS,
    AllOf,
    AnyOf,
    Comparison,
    Field,
    Filter,
    Not,
    Noun,
    Value,
)


def parse(text: str, noun: Noun) -> Filter:
    """The tree of a filter. BAD_REQUEST naming `filter`, with `details.position`, the character counted from 1."""
    if len(text) > MOST_CHARACTERS:
        raise bad_request("filter", f"must have at most {MOST_CHARACTERS} characters, got {len(text)}")
    try:
        part: _Part = _parser(noun).parse(text)  # type: ignore[assignment]  # what the transformer makes of the tree
    except UnexpectedInput as error:
        raise _wrong_text(text, error) from None
    return part.filter


class _Part(NamedTuple):
    filter: Filter
    tests: int
    depth: int


_GRAMMAR = r"""
    ?start: any
    ?any: all (_OR all)*
    ?all: negation (_AND negation)*
    ?negation: _NOT negation -> negated
        | "(" any ")"
        | test
    test: WORD OPERATOR value -> compared
        | WORD _IN values -> listed
        | WORD _NOT _IN values -> unlisted
        | WORD _EXISTS -> exists
        | WORD _NOT _EXISTS -> missing
    values: "[" [value ("," value)*] "]"
    value: WORD | TEXT

    OPERATOR: "!=" | ">=" | "<=" | "=" | ">" | "<"
    _AND.2: /and(?![^\s()\[\],=!<>"'])/i
    _OR.2: /or(?![^\s()\[\],=!<>"'])/i
    _NOT.2: /not(?![^\s()\[\],=!<>"'])/i
    _IN.2: /in(?![^\s()\[\],=!<>"'])/i
    _EXISTS.2: /exists(?![^\s()\[\],=!<>"'])/i
    TEXT: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
    WORD: /[^\s()\[\],=!<>"']+/
    %ignore /\s+/
"""


@cache
def _parser(noun: Noun) -> Lark:
    """LALR: neither the parser nor what it calls goes deeper into the stack with a deeper text."""
    return Lark(_GRAMMAR, parser="lalr", transformer=_Builder(FIELDS[noun]), maybe_placeholders=False)


@v_args(inline=True)
class _Builder(Transformer[Token, _Part]):
    """Called by the parser for each rule, from the leaves up."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__()
        self._fields = fields

    def any(self, *parts: _Part) -> _Part:
        return _joined(AnyOf, parts)

    def all(self, *parts: _Part) -> _Part:
        return _joined(AllOf, parts)

    def negated(self, part: _Part) -> _Part:
        return part._replace(filter=part.filter.part if isinstance(part.filter, Not) else Not(part.filter))

    def value(self, token: Token) -> Token:
        return token

    def values(self, *tokens: Token) -> tuple[Token, ...]:
        return tokens

    def compared(self, name: Token, operator: Token, value: Token) -> _Part:
        field = self._field(name)
        if operator in ("=", "!="):
            found = Comparison(str(name), "in", (_value(field, name, value),))
            return _Part(found if operator == "=" else Not(found), 1, 1)
        if field.kind == "text":
            _refuse(operator, f"{name} has no order; use =, !=, IN or EXISTS")
        return _Part(Comparison(str(name), operator.value, (_value(field, name, value),)), 1, 1)

    def listed(self, name: Token, values: tuple[Token, ...]) -> _Part:
        field = self._field(name)
        if len(values) > MOST_TESTS:
            _refuse(values[MOST_TESTS], f"a filter has at most {MOST_TESTS} values")
        return _Part(Comparison(str(name), "in", tuple(_value(field, name, value) for value in values)), len(values), 1)

    def unlisted(self, name: Token, values: tuple[Token, ...]) -> _Part:
        return self.negated(self.listed(name, values))

    def exists(self, name: Token) -> _Part:
        self._field(name)
        return _Part(Comparison(str(name), "exists"), 1, 1)

    def missing(self, name: Token) -> _Part:
        return self.negated(self.exists(name))

    def _field(self, name: Token) -> Field:
        if name not in self._fields:
            fields = sorted(self._fields)
            _refuse(name, f"there is no field {str(name)!r}; there are {', '.join(fields)}", fields=fields)
        return self._fields[name]


def _joined(kind: type[AllOf] | type[AnyOf], parts: tuple[_Part, ...]) -> _Part:
    tests, depth = sum(part.tests for part in parts), 1 + max(part.depth for part in parts)
    if tests > MOST_TESTS:
        raise bad_request("filter", f"must have at most {MOST_TESTS} comparisons, values of lists counted")
    if depth > MOST_DEPTH:
        raise bad_request("filter", f"must have at most {MOST_DEPTH} levels of parentheses")
    return _Part(kind(tuple(part.filter for part in parts)), tests, depth)


def _value(field: Field, name: Token, token: Token) -> Value:
    """What a token says, as the field's values are stored."""
    text = _unquoted(token)
    if field.kind == "number":
        return _number(name, token, text)
    if field.kind == "time":
        return _time(name, token, text)
    if field.known and text not in field.known:
        known = sorted(field.known)
        _refuse(token, f"no {name} is {text!r}; there are {', '.join(known)}", known=known)
    return text


def _unquoted(token: Token) -> str:
    if token.type == "WORD":
        return str(token)
    pieces = token[1:-1].split("\\\\")  # two backslashes stand for one
    return "\\".join(piece.replace("\\", "") for piece in pieces)


def _number(name: Token, token: Token, text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text or token.type != "WORD":
        _refuse(token, f"{name} is compared with a number, not with {text!r}")
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


def _time(name: Token, token: Token, text: str) -> str:
    try:
        if text.replace(".", "", 1).isdecimal():
            return ids.iso(math.floor(float(text) * 1000))
        moment = dt.datetime.fromisoformat(text)
        return ids.iso(math.floor(moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        _refuse(token, f"{name} is compared with a time such as 2026-01-31T12:00:00Z, not with {text!r}")


_SHOWN = {
    "OPERATOR": "= != > >= < <=",
    "_AND": "AND",
    "_OR": "OR",
    "_NOT": "NOT",
    "_IN": "IN",
    "_EXISTS": "EXISTS",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "$END": "the end",
}


def _wrong_text(text: str, error: UnexpectedInput) -> PinakesError:
    """A text that is no filter, by where it stops to be one and what could stand there."""
    allowed: Any = getattr(error, "expected", ()) or getattr(error, "allowed", ())
    expected: list[str] = [shown for name, shown in _SHOWN.items() if name in allowed]
    if "TEXT" in allowed:
        expected.insert(0, "a value")
    elif "WORD" in allowed:
        expected.insert(0, "a field")
    token = getattr(error, "token", None)
    at = len(text) if token is not None and token.type == "$END" else getattr(error, "pos_in_stream", 0)
    if isinstance(error, UnexpectedCharacters) and text[at] in "\"'" and "TEXT" in allowed:
        return _wrong(at, f"the quote {text[at]} is never closed", expected=[text[at]])
    found = repr(str(token or text[at])) if at < len(text) else "the end"
    return _wrong(at, f"expected {_either(expected)}, found {found}", expected=expected)


def _either(options: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(options[:-1]), options[-1]))) if options else "nothing"


def _wrong(at: int, message: str, **details: Any) -> PinakesError:
    return bad_request("filter", f"at character {at + 1}: {message}", position=at + 1, **details)


def _refuse(token: Token, message: str, **details: Any) -> NoReturn:
    raise _wrong(token.start_pos or 0, message, **details)
