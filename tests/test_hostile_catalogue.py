"""Whatever merchants type: it renders, it is a literal wherever it lands, and it means the same there."""

from __future__ import annotations

import ast
import json
import keyword
import re
import sqlite3
import subprocess
import tomllib
import unicodedata
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hooks import literals, snapshot
from hooks.answers_file import answers_yaml
from tests.catalogues import CATALOGUES, fixed, older, product
from tests.catalogues.hostile import BENEFITS, DESCRIPTIONS, METADATA, NAMES
from tests.polar_server import PolarServer
from tests.support import api_version, node, recorded
from tests.support.render import TOKEN
from tests.test_questions import answers, generate, keys

_CLEAN = st.text(max_size=40).map(snapshot.clean)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e6, 1e6) | _CLEAN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_CLEAN, inner, max_size=3),
    max_leaves=8,
)
# What YAML 1.1 reads as something else, breaks and blanks at the ends of lines, what is folded.
_LOOKS = ["yes", "No", "y", "OFF", "null", "~", "=", "<<", "1e3", "0x1F", "12:30", "2030-01-01", "1_000", "-", "a.b:"]
_LINES = st.sampled_from(_LOOKS) | st.text("ab0 :#-.,'\"\\\n\x85\u2028é\U0001f389", max_size=200)
_SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.uuids().map(str)
_ANSWER = st.recursive(
    _SIMPLE | _LINES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_LINES, inner, max_size=3),
    max_leaves=12,
)
TEXTS = [snapshot.clean(text) for text in [*NAMES, *DESCRIPTIONS, *BENEFITS]]
ODD = ["\u2028\u2029\x85\ufeff\x00", "\u200f\u200e\u061c", "\U0001f469\u200d\U0001f4bb", "\ue000", "\x7f\x9f"]


def evaluated(literals_: list[str], folder: Path) -> list[Any]:
    """What Node makes of TypeScript literals that are JavaScript too, inside a page's script element."""
    listed = ",\n".join(literals_)
    source = f"const values = [\n{listed}\n];\nprocess.stdout.write(JSON.stringify(values));\n"
    assert "</script" not in source
    (folder / "values.mjs").write_text(source)
    done = subprocess.run([node.NODE, folder / "values.mjs"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[Any] = json.loads(done.stdout)
    return found


def test_typescript_literals_mean_the_same(tmp_path: Path) -> None:
    values = [*TEXTS, *ODD, METADATA, None, True, 0, -1, 2.5, [], {}, [[1, {"a b": "c"}]], 2**53 - 1]
    assert evaluated([literals.ts(value) for value in values], tmp_path) == values


def test_a_prototype_cannot_be_set() -> None:
    assert literals.ts({"__proto__": {"a": 1}}) == '{ ["__proto__"]: { a: 1 } }'


@settings(max_examples=300, deadline=None)
@given(_JSON)
@example(METADATA)
@example(ODD)
@example([*NAMES, *filter(None, DESCRIPTIONS)])
def test_literals_mean_the_same(value: Any) -> None:
    assert ast.literal_eval(literals.py(value)) == value
    assert json.loads(literals.json_literal(value)) == value
    assert yaml.safe_load(literals.yaml(value)) == value
    assert yaml.safe_load(yaml.safe_dump(value)) == value
    if "null" not in json.dumps(value):
        assert tomllib.loads(f"x = {literals.toml(value)}")["x"] == value
    for filter_ in (literals.py, literals.json_literal, literals.yaml, literals.ts, literals.toml):
        written = filter_(value)
        assert written.isprintable(), "one line, nothing invisible"
    for filter_ in (literals.ts, literals.json_literal):
        assert "</" not in filter_(value)
        assert "<!" not in filter_(value)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["products", "past_due_grace_days"]), _ANSWER, min_size=1))
@example({"polar_catalog": {"benefits": TEXTS, "products": [{"name": text} for text in TEXTS], "metadata": METADATA}})
@example(
    {"products": [{"name": "word " * length + end} for length in range(11, 34) for end in ("end", "'end'", "\x7f")]}
)
def test_the_answers_file_is_as_pyyaml_writes_it(value: dict[str, Any]) -> None:
    assert answers_yaml(value) == yaml.dump(value, indent=4, allow_unicode=True, default_flow_style=False)


@pytest.mark.parametrize("text", [*TEXTS, "it''s", "\\'"])
def test_sql_literals_mean_the_same(text: str) -> None:
    with sqlite3.connect(":memory:") as database:
        assert database.execute(f"SELECT {literals.sql(text)}").fetchone()[0] == text


@settings(max_examples=300, deadline=None)
@given(st.text())
@example('"; DROP TABLE users; --${x}`</script>')
@example("*/ x /*")
@example("a\nb")
def test_comments_and_markdown_stay_where_they_are(text: str) -> None:
    comment = literals.comment(text)
    assert comment.isprintable()
    for end in ("*/", "-->", "</"):
        assert end not in comment
    assert not comment.endswith("\\")
    markdown = literals.md(text)
    assert "\n" not in markdown
    assert "<" not in markdown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[\]]", markdown)


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters()))
@example("\x00\x85\u2028\u2029\ufeff\ud800\u202e\u2066\ufffe")
@example("\r\n\t\x0b")
def test_text_is_clean_once_it_is_read(text: str) -> None:
    cleaned = snapshot.clean(text)
    assert snapshot.clean(cleaned) == cleaned
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n"]
    assert not set(cleaned) & set("\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    cleaned.encode()


def test_marks_and_joiners_of_a_script_stay() -> None:
    assert snapshot.clean("שלום\u200f 👩\u200d💻") == "שלום\u200f 👩\u200d💻"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(NAMES) | st.text(max_size=70), min_size=1, max_size=12))
@example(["Pro", "Pro", "pro", "Pro 2", "Pro_2", "!!!", "???", "product", "Product 2"])
def test_keys_are_identifiers_and_unique(names: list[str]) -> None:
    items = [{"id": str(number), "name": name} for number, name in enumerate(names)]
    keyed = [item["key"] for item in snapshot.assign_keys(items, {}, (), "product", lambda item: item["name"])]
    assert len(set(keyed)) == len(names)
    for key in keyed:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert key.isidentifier()
        assert not keyword.iskeyword(key)
        assert not keyword.issoftkeyword(key)


def test_keys_are_readable() -> None:
    wanted = {
        "Pro Monthly": "pro_monthly",
        "Prémium «日本語» 🎉": "premium",
        "日本語": "product",
        "2024 plan": "product_2024_plan",
        "class": "class_product",
        "constructor": "constructor_product",
        "None": "none_product",
        "__proto__": "proto",
    }
    assert {name: snapshot.slug(name, "product") for name in wanted} == wanted


def test_equal_names_are_told_apart_by_their_interval(small_template: Path, tmp_path: Path) -> None:
    twins = [product("Pro", fixed(1), interval="month"), product("Pro", fixed(9), interval="year")]
    with PolarServer([*twins, product("pro!", fixed(3))]) as server:
        assert keys(generate(small_template, tmp_path / "app", server)) == ["pro_monthly", "pro_yearly", "pro"]


def test_the_hostile_catalogue_comes_through_whole(
    small_template: Path, tmp_path: Path, polar_with: Callable[[str], str]
) -> None:
    with PolarServer(CATALOGUES["hostile"]()) as server:
        facts = generate(small_template, tmp_path / "app", server)
        products = {item["id"]: item for item in facts["billing"]["products"]}
        for raw in server.products:
            if raw["name"] in {"Usage only", "Per seat", "Per unit", "Future", "Private", "Archived", "Draft"}:
                assert raw["id"] not in products
                continue
            read = products[raw["id"]]
            assert read["name"] == snapshot.clean(raw["name"], one_line=True)
            assert read["description"] == (snapshot.clean(raw["description"]) or None)
            assert [(p["currency"], p["amount"]) for p in read["prices"]] == [
                (p["price_currency"], p.get("price_amount")) for p in raw["prices"]
            ]
    first = next(iter(products.values()))
    benefits = {item["key"]: item for item in facts["billing"]["benefits"]}
    assert list(benefits) == sorted(first["benefits"], key=first["benefits"].index)
    assert benefits["priority_support"]["metadata"]["__proto__"] == "x"
    assert answers(tmp_path / "app")["polar_catalog"]["products"]


def test_250_products_come_in_three_pages(small_template: Path, tmp_path: Path) -> None:
    with PolarServer(CATALOGUES["large"]()) as server:
        facts = generate(small_template, tmp_path / "app", server)
        assert len(keys(facts)) == 250
        assert len(server.requests) == 3 + 1


def test_prices_nobody_has_seen_yet_do_not_stop_a_generation(small_template: Path, tmp_path: Path) -> None:
    strange = product("Strange", {"amount_type": None}, {"amount_type": 7, "price_amount": "9"}, {"id": None})
    odd = [{**strange, "benefits": None}, {**strange, "id": "z", "prices": None}]
    with PolarServer([product("Good", fixed(5)), *odd]) as server:
        server.products.append({"id": "bare", "organization_id": server.organization["id"], "is_archived": False})
        assert keys(generate(small_template, tmp_path / "app", server)) == ["good"]


def test_older_answers_are_read_the_same(small_template: Path, tmp_path: Path) -> None:
    now = CATALOGUES["shop"]()
    with PolarServer(now) as server:
        new = generate(small_template, tmp_path / "new", server)
        server.products = [older(item) for item in now]
        old = generate(small_template, tmp_path / "old", server, polar_server="production")
    assert old["billing"]["products"] == new["billing"]["products"]


def test_the_stand_in_answers_as_the_sdk_expects() -> None:
    """The SDK's strict models accept every object: the stand-in's are complete."""
    Polar = import_module(api_version.module_name()).Polar
    sellable = [item for item in CATALOGUES["hostile"]() if item["name"] != "Future"]
    with PolarServer(sellable) as server, Polar(TOKEN, base_url=server.url) as polar:
        listed = list(polar.products.iter_list(limit=100))
    assert {item.id for item in listed} == {item["id"] for item in sellable}


def test_recorded_answers_of_a_real_server(small_template: Path, tmp_path: Path) -> None:
    folder = recorded.folder()
    if folder is None:
        pytest.skip("POLAR_RECORDED is not set: no recorded answers to read")

    def body(name: str) -> Any:
        return json.loads(json.loads((folder / "api" / f"{name}.json").read_text())["body"])

    with PolarServer(body("products_list")["items"], body("organization_get")) as server:
        facts = generate(small_template, tmp_path / "app", server)
    assert {"pro_monthly", "lifetime", "free"} <= set(keys(facts))
    assert not {"team", "metered", "old_plan"} & set(keys(facts))
    assert facts["grace"] == 0
