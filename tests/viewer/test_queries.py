from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from sqlite3 import Connection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.viewer import queries
from synthtutor.viewer.index import Index
from synthtutor.viewer.queries import Facets, Line, Query, facets, key_of, neighbour, page
from tests.viewer.viewed import journal, name_of, sample

BODIES = [sample(number) for number in range(230)]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = journal(tmp_path_factory.mktemp("run"), BODIES)
    index = Index(folder)
    index.catch_up()
    with index.reading() as opened:
        yield opened
    index.close()


def through(connection: Connection, query: Query) -> list[Line]:
    """All pages, one after another."""
    found, more, after = [], True, ""
    while more:
        lines, more = page(connection, query, {}, after=after)
        found += lines
        after = key_of(query, lines[-1]) if lines else ""
    return found


@pytest.mark.parametrize("order", queries.ORDERS)
@pytest.mark.parametrize(
    "asked",
    [{}, {"text": "compare"}, {"chosen": (("outcome", "kept"),)}, {"low": 0.3, "high": 0.7}],
    ids=["all", "words", "outcome", "score"],
)
def test_pages_hold_every_sample_once_and_in_order(
    connection: Connection, order: str, asked: dict[str, object]
) -> None:
    query = Query(**asked, order=order)  # type: ignore[arg-type]
    found = through(connection, query)
    wanted = [
        body["id"]
        for body in BODIES
        if (query.chosen != (("outcome", "kept"),) or body["metadata"]["outcome"] == "kept")
        and (query.low is None or 0.3 <= body["metadata"]["weighted"] <= 0.7)
    ]
    assert sorted(line.id for line in found) == sorted(wanted)
    column, down = queries.ORDERS[order][1:]
    keys = [(getattr(line, column), line.doc) for line in found]
    assert keys == sorted(keys, reverse=down)


@pytest.mark.parametrize("order", queries.ORDERS)
def test_the_page_before_is_the_page_one_came_from(connection: Connection, order: str) -> None:
    query = Query(order=order)
    first, _ = page(connection, query, {})
    second, _ = page(connection, query, {}, after=key_of(query, first[-1]))
    back, more = page(connection, query, {}, before=key_of(query, second[0]))
    assert back == first
    assert not more


@pytest.mark.parametrize("rare", [0, 10**9], ids=["nothing is rare", "everything is rare"])
def test_wherever_a_search_begins_it_finds_the_same(
    connection: Connection, rare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Query("question", (("kind", "sample"), ("subject", "finance"), ("outcome", "kept")))
    wanted = {b["id"] for b in BODIES if b["metadata"]["subject"] == "finance" and b["metadata"]["outcome"] == "kept"}  # fmt: skip
    monkeypatch.setattr(queries, "COUNTED", rare)
    for order in queries.ORDERS:
        query = Query(asked.text, asked.chosen, order=order)
        assert {line.id for line in through(connection, query)} == wanted, order


def test_counts_are_those_of_what_was_found(connection: Connection) -> None:
    query = Query().having("subject", "algebra")
    found = facets(connection, query, {})
    assert found.total == 46
    assert dict(found.values["outcome"]) == {"kept": 16, "rejected": 30}
    assert dict(facets(connection, Query(), {}).values["subject"])["genetics"] == 46


def test_too_many_to_count_are_said_to_be_so(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "COUNTED", 20)
    found = facets(connection, Query(text="compare"), {})
    assert found == Facets(None, found.values, whole=True)
    assert dict(found.values["outcome"]) == {"kept": 77, "rejected": 153}


def test_words_phrases_ids_and_rows_are_found(connection: Connection) -> None:
    def ids(text: str) -> list[str]:
        return [line.id for line in through(connection, Query(text=text))]

    assert ids("Reply 17") == [name_of(17), *ids("Reply 17")[1:]]
    assert ids('"Reply 17: compare"') == [name_of(17)]
    assert ids("compa 229") == [name_of(229)]
    assert ids(name_of(5)) == [name_of(5)]
    assert ids("#6") == [name_of(5)]
    assert ids("compare nowhere") == []


@given(st.text(max_size=60))
def test_any_text_can_be_searched_for(connection: Connection, text: str) -> None:
    page(connection, Query(text=text), {}, after=text)


@given(st.lists(st.tuples(st.sampled_from(["q", "kind", "outcome", "people", "low", "order", "x"]), st.text())))  # fmt: skip
def test_any_address_is_understood_and_says_the_same_again(given: list[tuple[str, str]]) -> None:
    query = Query.of(given)
    assert Query.of(query.pairs) == query


def test_people_are_a_filter(connection: Connection) -> None:
    rated = {bytes.fromhex(name_of(number)) for number in (3, 4)}
    groups = dict.fromkeys(("rated", "accept", "reject", "undecided", "against"), rated)
    for order in queries.ORDERS:
        lines, _ = page(connection, Query(people="accept", order=order), groups)
        assert {line.id for line in lines} == {name_of(3), name_of(4)}
    assert facets(connection, Query(people="unrated"), groups).total == 228


def test_neighbours_follow_the_list(connection: Connection) -> None:
    query = Query(chosen=(("subject", "ecology"),), order="best")
    lines = through(connection, query)
    for before, line in pairwise(lines):
        assert neighbour(connection, query, {}, before) == line
        assert neighbour(connection, query, {}, line, back=True) == before
    assert neighbour(connection, query, {}, lines[-1]) is None
    assert neighbour(connection, query, {}, lines[0], back=True) is None


@pytest.mark.parametrize("order", queries.ORDERS)
@pytest.mark.parametrize(
    "asked",
    [
        Query(),
        Query(chosen=(("outcome", "kept"), ("subject", "finance"))),
        Query(low=0.2),
        Query(people="unrated"),
    ],
    ids=["all", "attributes", "score", "people"],
)
def test_a_page_of_what_is_common_is_read_in_order_and_not_sorted(
    connection: Connection, order: str, asked: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes the first page of a million as quick as that of a thousand."""
    monkeypatch.setattr(queries, "COUNTED", 0)  # nothing is rare
    said: list[str] = []
    connection.set_trace_callback(said.append)
    page(connection, replace(asked, order=order), {"rated": []}, after="0.5_10")
    connection.set_trace_callback(None)
    (asked_for,) = [statement for statement in said if statement.startswith("SELECT e.doc")]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked_for}")]
    assert not [step for step in plan if "TEMP B-TREE" in step and "ORDER" in step], plan


def test_a_page_of_a_common_word_is_read_from_the_words_in_order(connection: Connection) -> None:
    said: list[str] = []
    connection.set_trace_callback(said.append)
    page(connection, Query(text="compare"), {}, after="100_100")
    connection.set_trace_callback(None)
    (asked_for,) = [statement for statement in said if statement.startswith("SELECT e.doc")]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked_for}")]
    assert plan[0].startswith("SCAN words VIRTUAL TABLE INDEX")
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
