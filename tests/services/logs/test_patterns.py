"""Filter patterns: AWS's examples, and the language against a slow and obvious reading of it."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.logs.patterns import PatternError, compile_pattern

# --- terms

WORDS = ["ERROR", "WARN", "not found", "a-b", "x", 'say "hi"']
MESSAGES = st.lists(st.sampled_from([*WORDS, "MYERROR", "warn", "-", "?"]), max_size=5).map(" ".join)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(st.sampled_from(["", "-", "?"]), st.sampled_from(WORDS)), max_size=4), MESSAGES)
def test_terms_take_what_a_slow_reading_takes(terms: list[tuple[str, str]], message: str) -> None:
    pattern = compile_pattern(" ".join(sign + quoted(word) for sign, word in terms))
    included = [word for sign, word in terms if sign == ""]
    excluded = [word for sign, word in terms if sign == "-"]
    optional = [word for sign, word in terms if sign == "?"]
    if included or excluded:
        wanted = all(word in message for word in included) and not any(word in message for word in excluded)
    else:
        wanted = not optional or any(word in message for word in optional)
    assert pattern.matches(message) == wanted


@pytest.mark.parametrize(
    ("pattern", "message", "taken"),
    [
        ("", "anything", True),
        ('" "', "two words", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error 400] BAD REQUEST", False),
        ("ERROR ARGUMENTS", "[ERROR 401] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[INFO] SOME ARGUMENTS", True),
        ("?ERROR ?ARGUMENTS", "[INFO] NOTHING", False),
        ("?ERROR -INFO", "[WARN]", True),  # optional terms beside others are ignored
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL ERROR", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 401] MISSING ARGUMENTS", False),
        ("%40[0-9]%", "status 404 here", True),
        ("%40[0-9]$%", "status 404 here", False),
    ],
)
def test_examples_of_terms(pattern: str, message: str, taken: bool) -> None:
    assert compile_pattern(pattern).matches(message) is taken


# --- JSON

MEMBERS = ["level", "took", "user-id", "tags"]
SCALARS = st.one_of(
    st.sampled_from(["error", "warn", "12", "err*", ""]), st.integers(-3, 12), st.booleans(), st.none(),
    st.sampled_from([1.5, 12.0]),
)  # fmt: skip
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from(["id", "n"]), SCALARS))
DOCUMENTS = st.dictionaries(st.sampled_from(MEMBERS), VALUES)
PATHS = st.one_of(
    st.sampled_from(MEMBERS).map(lambda name: [name]),
    st.tuples(st.sampled_from(MEMBERS), st.sampled_from(["id", 0, 1, None])).map(list),
)
LITERALS = st.one_of(
    st.sampled_from([("text", "error"), ("text", "err*"), ("text", "*"), ("text", "12"), ("text", "*r*o*")]),
    st.sampled_from([("number", -1), ("number", 12), ("number", 1.5)]),
)
COMPARISONS = st.one_of(
    st.tuples(st.just("compare"), PATHS, st.sampled_from(["=", "!="]), LITERALS),
    st.tuples(st.just("compare"), PATHS, st.sampled_from(["<", "<=", ">", ">="]), st.just(("number", 3))),
    st.tuples(st.sampled_from(["NOT EXISTS", "IS NULL", "IS TRUE", "IS FALSE"]), PATHS),
)
CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    COMPARISONS,
    lambda inner: st.tuples(st.sampled_from(["&&", "||"]), st.lists(inner, min_size=2, max_size=3)),
    max_leaves=5,
)


def written(condition: Any) -> str:
    if condition[0] in ("&&", "||"):
        return f" {condition[0]} ".join(f"({written(each)})" for each in condition[1])
    steps = ["[*]" if step is None else f"[{step}]" if isinstance(step, int) else f".{step}" for step in condition[1]]
    selector = "$" + "".join(steps)
    if condition[0] != "compare":
        return f"{selector} {condition[0]}"
    kind, value = condition[3]
    return f"{selector} {condition[2]} {quoted(value) if kind == 'text' else value}"


def reached(document: Any, path: list[Any]) -> list[Any]:
    if not path:
        return [document]
    step, *rest = path
    if step is None:
        inner = (
            document if isinstance(document, list) else list(document.values()) if isinstance(document, dict) else []
        )
    elif isinstance(step, int):
        inner = document[step : step + 1] if isinstance(document, list) else []
    else:
        inner = [document[step]] if isinstance(document, dict) and step in document else []
    return [value for each in inner for value in reached(each, rest)]


def holds(condition: Any, document: Any) -> bool:
    if condition[0] in ("&&", "||"):
        results = [holds(each, document) for each in condition[1]]
        return all(results) if condition[0] == "&&" else any(results)
    values = reached(document, condition[1])
    if condition[0] == "NOT EXISTS":
        return not values
    if condition[0] == "IS NULL":
        return None in values
    if condition[0] in ("IS TRUE", "IS FALSE"):
        return any(value is (condition[0] == "IS TRUE") for value in values)
    return any(compares(value, condition[2], *condition[3]) for value in values)


def compares(value: Any, operator: str, kind: str, literal: Any) -> bool:
    if value is None or isinstance(value, list | dict):
        return False
    shown = value if isinstance(value, str) else json.dumps(value)
    if kind == "number" and not isinstance(value, bool):
        try:
            number = float(shown)
        except ValueError:
            return operator == "!="
        return {
            "=": number == literal, "!=": number != literal, "<": number < literal, "<=": number <= literal,
            ">": number > literal, ">=": number >= literal,
        }[operator]  # fmt: skip
    if operator not in ("=", "!="):
        return False
    return fnmatch.fnmatchcase(shown, str(literal)) == (operator == "=")


@given(CONDITIONS, DOCUMENTS)
def test_a_json_pattern_takes_what_a_slow_reading_takes(condition: Any, document: dict[str, Any]) -> None:
    text = "{ " + written(condition) + " }"
    assert compile_pattern(text).matches(json.dumps(document)) == holds(condition, document), text


EVENT = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "cluster.name": "c",
        "flag": True,
        "latency": 1.5e2,
    }
)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{ $.sourceIPAddress != "123.123.*" }', True),
        ("{ $.sourceIPAddress = 111.111.* }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ("{ $.arrayKey = value }", False),  # an array is no value
        ('{ $.objectList[1].id = 2 && $.objectList[0].name = "a" }', True),
        ("{ $.objectList[*].id = 2 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.flag IS TRUE }", True),
        ("{ $.latency > 1e2 }", True),
        ("{ $.['cluster.name'] = \"c\" }", True),
        ("{ $.eventType = %^Update% }", True),
        ('{ ($.eventType = "x") || ($.flag IS TRUE && $.latency < 100) }', False),
        ('{ $.eventType = "x" || $.flag IS TRUE && $.latency >= 150 }', True),
        ('{ $.missing != "x" }', False),
    ],
)
def test_examples_of_json(pattern: str, taken: bool) -> None:
    assert compile_pattern(pattern).matches(EVENT) is taken


def test_text_that_is_no_json_is_not_taken_by_a_json_pattern() -> None:
    assert not compile_pattern("{ $.x NOT EXISTS }").matches("plain text")


# --- space-delimited

LINE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code = 404 || status_code = 410, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code >= 500, bytes]", False),
        ("[..., status_code=4*, bytes > 1000]", True),
        ("[ip, ..., bytes]", True),
        ("[ip!=127.*, ...]", False),
        ("[ip, user, bytes]", False),
        ('[ip, user, username = "frank" && username != "bob", ...]', True),
        ("[ip=%127%, ...]", True),
    ],
)
def test_examples_of_fields(pattern: str, taken: bool) -> None:
    assert compile_pattern(pattern).matches(LINE) is taken


@given(
    st.lists(st.sampled_from(["a", "b", "[x y]", '"p q"', "12"]), max_size=6),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "x y", "p q"])), max_size=3),
    st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "12"])), max_size=2),
    st.booleans(),
)
def test_fields_take_what_a_slow_reading_takes(
    fields: list[str], before: list[str | None], after: list[str | None], rest: bool
) -> None:
    def conditions(values: list[str | None], start: int) -> list[str]:
        return [f"f{i}" + (f' = "{value}"' if value else "") for i, value in enumerate(values, start)]

    parts = conditions(before, 0) + (["..."] if rest else []) + conditions(after, 10)
    if not parts:
        return
    plain = [field.strip('[]"') for field in fields]
    wanted = before + ([None] * (len(plain) - len(before) - len(after)) if rest else []) + after
    fits = len(plain) == len(wanted) and all(w is None or w == f for w, f in zip(wanted, plain, strict=True))
    assert compile_pattern(f"[{', '.join(parts)}]").matches(" ".join(fields)) == fits


def test_values_for_metrics_are_extracted() -> None:
    assert compile_pattern("[ip, ..., bytes]").values(LINE) == {"$ip": "127.0.0.1", "$bytes": "1534"}
    assert compile_pattern("{ $.latency > 1 }").values(EVENT) == {"$.latency": "150.0"}


@pytest.mark.parametrize(
    "wrong",
    [
        "START RequestId:",
        "{ $.a = }",
        "{ $.a }",
        "{ a = 1 }",
        "{ $.a = 1 ",
        "{ ($.a = 1 }",
        "{ $.a > x }",
        '{ $.a > "1" }',
        "{ $.a = 1 $.b = 2 }",
        "[a, b",
        "[a = 1 || b = 2]",
        "[..., a, ...]",
        "%(a)%",
        "{ $.a = %x% && $.b = %y% && $.c = %z% }",
        "{ " + "(" * 200 + "$.a = 1" + ")" * 200 + " }",
    ],
)
def test_what_is_no_pattern_is_refused_with_a_reason(wrong: str) -> None:
    with pytest.raises(PatternError) as error:
        compile_pattern(wrong)
    assert str(error.value)


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_text_makes_the_compiler_or_the_pattern_fail_otherwise(text: str, message: str) -> None:
    try:
        pattern = compile_pattern(text)
    except PatternError:
        return
    pattern.matches(message)
    pattern.values(message)
