"""What is wrong for every row stops a run in seconds; what is wrong with one row never does."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from synthtutor.testing.replies import Behaviour, Reply, plausible_reply
from tests.system.runs import (
    POSIX,
    Ended,
    Run,
    contents,
    kept,
    reasons,
    records,
    serving,
    write_rows,
)

pytestmark = [pytest.mark.slow, POSIX]

KEY = "sk-planted-0123456789abcdef"
SECONDS = 20.0  # on a busy machine; the point is that it is not the minutes that retries take


@pytest.fixture
def few(tmp_path: Path, options: tuple[str, ...]) -> tuple[str, ...]:
    """Ten rows of two calls, and no controls."""
    write_rows(tmp_path / "rows.jsonl", 10)
    return (*options, "--controls", "0")


def lines(ended: Ended) -> list[str]:
    """What it said on stderr."""
    assert "Traceback" not in ended.told
    return ended.err.splitlines()


# ── wrong for every row ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("trouble", "named"),
    [
        (Reply.failure(401, f"Incorrect API key provided: {KEY}.", code="invalid_api_key"), "401"),
        (Reply.failure(402, "Your credit balance is too low."), "402"),
        (
            Reply.failure(404, "The model `test-model` does not exist.", code="model_not_found"),
            "404",
        ),
    ],
    ids=["bad key", "no money", "unknown model"],
)
def test_what_fails_every_call_stops_in_seconds_with_one_line(
    trouble: Reply, named: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(lambda _body: trouble) as server:
        run = Run(server.root_url, tmp_path / "run", options, {"COMPATIBLE_API_KEY": KEY})
        since = time.monotonic()
        ended = run.finish()
        assert time.monotonic() - since < SECONDS
        assert ended.code == 2, ended.told
        assert len(lines(ended)) == 1
        assert named in ended.err
        assert server.calls <= 16, "it went on asking"


def test_after_a_bad_key_the_same_command_goes_on(few: tuple[str, ...], tmp_path: Path) -> None:
    left = 7

    def runs_dry(body: dict[str, Any]) -> Reply:
        nonlocal left
        left -= 1
        return plausible_reply(body) if left >= 0 else Reply.failure(401, "no such key")

    with serving(runs_dry) as server:
        run = Run(server.root_url, tmp_path / "run", few)
        assert run.finish().code == 2
        paid = kept(run.folder).keys
        assert len(paid) == 7
        left = 1000
        asked = server.calls
        ended = run.finish()
        assert ended.code == 0, ended.told
        assert server.calls - asked == 2 * 10 - 7
        assert kept(run.folder).keys > paid


def test_a_server_that_is_not_there_is_said_clearly(few: tuple[str, ...], tmp_path: Path) -> None:
    with serving(plausible_reply) as server:
        url = server.root_url  # a port that nobody listens to, once this server is gone
    run = Run(url, tmp_path / "run", few)
    ended = run.finish()
    assert ended.code == 4, ended.told
    assert re.search(r"rows failed.*unavailable: .*refused", ended.err, re.IGNORECASE), ended.told
    with serving(plausible_reply) as server:
        back = Run(server.root_url, tmp_path / "run", few)
        recovered = back.finish()
        assert recovered.code == 0, recovered.told
        assert len(records(back.folder, "samples.jsonl", "rejected.jsonl")) == 10


# ── the key ──────────────────────────────────────────────────────────────────────────────────


def quotes_the_key(body: dict[str, Any]) -> Reply:
    """A vendor that repeats the key in everything but its answers."""
    if "row-0003" in str(body["messages"]):
        return Reply.failure(400, f"bad request by {KEY}")
    if "row-0004" in str(body["messages"]):
        return Reply.failure(400, f"context length exceeded, {KEY}", code="context_length_exceeded")
    return plausible_reply(body)


@pytest.mark.parametrize("behaviour", [quotes_the_key, lambda _: Reply.failure(401, f"Bad: {KEY}")])
def test_the_key_is_nowhere(behaviour: Behaviour, few: tuple[str, ...], tmp_path: Path) -> None:
    with serving(behaviour) as server:
        run = Run(server.root_url, tmp_path / "run", few, {"COMPATIBLE_API_KEY": KEY})
        told = run.finish().told + run.finish("--json").told
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    places = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    places["what it printed"] = told.encode()
    assert len(places) >= 4
    assert [where for where, content in places.items() if KEY.encode() in content] == []


# ── wrong with one row ───────────────────────────────────────────────────────────────────────


def odd_rows(body: dict[str, Any]) -> Reply:
    """Three seeds in ten get no answer that can be used."""
    said = str(body["messages"])
    if "row-0002" in said:
        return Reply("I would rather write an essay than JSON.")
    if "row-0005" in said:
        return Reply(None, refusal="I cannot help with that.")
    if "row-0007" in said:
        return Reply.failure(400, "This model's maximum context length is 8192 tokens.")
    return plausible_reply(body)


def test_rows_without_a_usable_answer_are_kept_with_reasons(
    few: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(odd_rows) as server:
        run = Run(server.root_url, tmp_path / "run", (*few, "--mode", "scenario"))
        ended = run.finish()
        assert ended.code == 0, ended.told
    failed = [
        r for r in records(run.folder, "rejected.jsonl") if r["metadata"]["outcome"] == "failed"
    ]
    said = ["; ".join(record["metadata"]["reasons"]) for record in failed]
    assert [reason.partition(":")[0] for reason in said] == [
        "unparsable",
        "refused",
        "rejected (context)",
    ]
    assert failed[0]["metadata"]["text"] == "I would rather write an essay than JSON."
    assert "I cannot help with that." in said[1]
    assert "8192" in said[2]
    assert len(records(run.folder, "samples.jsonl", "rejected.jsonl")) == 10


BAD_JSONL = [
    b"{not json",
    b'["a list"]',
    b'{"question": "only that"}',
    b'"text"',
    b"\xff",
    b"{}",
    b"7",
]
BAD_CSV = [
    "one field",
    'a,b,c,"[]",mathematics,too,many,fields',
    ",,,,",
    "question,,follow-up,[],mathematics",
    "question,explanation,follow-up,{not json,mathematics",
]


@pytest.mark.parametrize("first", [True, False], ids=["at the top", "at the end"])
def test_bad_jsonl_lines_are_kept_with_reasons(
    first: bool, options: tuple[str, ...], tmp_path: Path
) -> None:
    good = write_rows(tmp_path / "rows.jsonl", 20).read_bytes().splitlines()
    mixed = [*BAD_JSONL, *good] if first else [*good, *BAD_JSONL]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(mixed))
    with serving(plausible_reply, delay_s=0.2) as server:
        run = Run(server.root_url, tmp_path / "run", options)
        ended = run.finish()
        assert ended.code == 0, ended.told
    found = [reason for reason in reasons(run.folder) if "rows.jsonl, line " in reason]
    start = 1 if first else 21
    assert [int(re.findall(r"line (\d+)", reason)[0]) for reason in found] == [
        *range(start, start + len(BAD_JSONL))
    ]
    assert len(records(run.folder, "samples.jsonl", "rejected.jsonl")) == 20 + len(BAD_JSONL)


def test_bad_csv_lines_are_kept_with_reasons(options: tuple[str, ...], tmp_path: Path) -> None:
    header = "question,first_explanation,follow_up,rubric,subject"
    good = [f"row-{n:04}: why?,Because of it.,But is it not so?,[],mathematics" for n in range(20)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([header, *BAD_CSV, *good, '"a quote that stays open,,,,']))
    with serving(plausible_reply, delay_s=0.2) as server:
        run = Run(server.root_url, tmp_path / "run", (*options, "--rows", str(path)))
        ended = run.finish()
        assert ended.code == 0, ended.told
    found = [reason for reason in reasons(run.folder) if "rows.csv, line " in reason]
    assert len(found) == len(BAD_CSV) + 1, found
    assert len(records(run.folder, "samples.jsonl", "rejected.jsonl")) == 20 + len(found)


def test_texts_too_long_do_not_outvote_rows_that_still_wait(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """The endpoint says so at once, while good answers take their time."""

    def behaviour(body: dict[str, Any]) -> Reply:
        if re.search(r"row-000\d", str(body["messages"])):
            return Reply.failure(400, "too long", code="context_length_exceeded")
        return Reply(plausible_reply(body).text, delay_s=0.5)

    with serving(behaviour) as server:
        run = Run(server.root_url, tmp_path / "run", (*options, "--concurrency", "32"))
        ended = run.finish()
        assert ended.code == 0, ended.told
    assert len(records(run.folder, "samples.jsonl", "rejected.jsonl")) == 60


# ── too much ─────────────────────────────────────────────────────────────────────────────────


def test_more_failures_than_allowed_stop_the_run(options: tuple[str, ...], tmp_path: Path) -> None:
    def nonsense(body: dict[str, Any]) -> Reply:
        return Reply("no JSON here")

    with serving(nonsense) as server:
        run = Run(server.root_url, tmp_path / "run", (*options, "--mode", "scenario"))
        ended = run.finish()
        assert ended.code == 4, ended.told
        assert "too many failures" in ended.err
        assert "unparsable" in ended.err
        assert server.calls < 60 * 3, "it went on to the end"
        assert len(kept(run.folder).calls) == server.calls, "an answer was paid for and lost"


def test_some_failures_at_the_end_are_told_by_the_exit_code(
    few: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(odd_rows) as server:
        more = (*few, "--mode", "scenario", "--max-failed", "0.2")
        ended = Run(server.root_url, tmp_path / "run", more).finish()
        assert ended.code == 4, ended.told
        assert "3 of 10 rows failed" in ended.err


def test_a_budget_stops_the_run_before_it_is_passed_and_a_larger_one_goes_on(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(plausible_reply) as server:
        whole = Run(server.root_url, tmp_path / "whole", options)
        assert whole.finish().code == 0
        cost = json.loads(contents(whole.folder)["statistics.json"])["cost_usd"]

        server.calls = 0
        run = Run(server.root_url, tmp_path / "run", whole.more)
        ended = run.finish("--budget", str(cost / 2))
        assert ended.code == 3, ended.told
        assert "budget" in ended.err
        resume = ended.resume_command()
        assert resume.count("--budget") == 1
        assert cost / 2 < float(resume[resume.index("--budget") + 1]) < 4 * cost
        spent = json.loads(contents(run.folder)["statistics.json"])["cost_usd"]
        assert 0 < spent <= cost / 2
        paid = server.calls
        assert len(kept(run.folder).calls) == paid

        ended = run.finish("--budget", str(cost / 2))
        assert ended.code == 3, "the same budget is still used up"
        assert server.calls == paid
        assert run.again(ended).code == 0, "what it says goes on is enough"
        assert contents(run.folder) == contents(whole.folder)


# ── changed ──────────────────────────────────────────────────────────────────────────────────


def test_a_change_that_would_pay_again_needs_a_yes(few: tuple[str, ...], tmp_path: Path) -> None:
    with serving(plausible_reply) as server:
        run = Run(server.root_url, tmp_path / "run", few)
        assert run.finish().code == 0
        before, paid = contents(run.folder), server.calls
        configuration = (run.folder / "run.yaml").read_bytes()

        ended = run.finish("--seed", "7")
        assert ended.code == 2, ended.told
        assert "seed: 0 → 7" in ended.err
        assert re.search(r"\b10 finished samples .*ask at least one call again", ended.err)
        assert "--yes" in ended.err
        assert server.calls == paid
        assert contents(run.folder) == before
        assert (run.folder / "run.yaml").read_bytes() == configuration

        assert run.finish().code == 0, "the refused change left its traces"
        assert server.calls == paid
        assert run.finish("--seed", "7", "--yes").code == 0
        assert server.calls == 2 * paid


def test_more_rows_need_no_yes(few: tuple[str, ...], tmp_path: Path) -> None:
    with serving(plausible_reply) as server:
        run = Run(server.root_url, tmp_path / "run", few)
        assert run.finish("-n", "6").code == 0
        assert server.calls == 12
        ended = run.finish()
        assert ended.code == 0, ended.told
        assert server.calls == 20
