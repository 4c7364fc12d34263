"""CPU time of one call's whole path, and of each vendor's provider beside its bare SDK.

The path is all that is ours, over a provider that costs next to nothing: the recipe's
``session.generate``, digests, the wrappers (Metered, Retrying, Limited, Gate), parsing, the
journal's commit, and the sample's record. ``--profile`` lists what the first two rows are spent on.

The second table asks loopback servers of each vendor's wire, which are processes of their own, the
same questions through our provider (``complete``: request in, response out) and through the
vendor's SDK as a script uses it: its default client, an answer in its own classes. Each figure is
the median of fresh processes that take turns.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

from measuring import Spent, fresh, heading, middle_of, options, spending, table, verdict
from workload import PROMPT, REPLY, Lesson, asking, engine, live, rows, scripted

from synthtutor.messages import Request, Settings, user
from synthtutor.provider import Endpoint
from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.recipe import Recipe, RowOptions
from synthtutor.sources import limited
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.replies import fixed

_GOAL_MS = 0.15
_GOAL_SHARE = 0.5
_DELAY_S = 0.1
_KEY = "unused"  # the servers do not look at it


def _seeds(count: int) -> Any:
    return limited(MISCONCEPTION.rows(RowOptions()).rows, count)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of row. ``goal_ms`` is per call; None where the provider's own work is in the figure."""

    name: str
    recipe: Recipe[Any]
    calls: int
    rows: Callable[[int], Any] = rows
    provider: Callable[[], ScriptedProvider] = scripted
    goal_ms: float | None = _GOAL_MS


_CASES = (
    Case("1 call, text", asking(1, str), 1),
    Case("1 call, structured", asking(1, Lesson), 1),
    Case("3 calls, text", asking(3, str), 3),
    Case("3 calls, structured", asking(3, Lesson), 3),
    # Templates, a rubric of some twenty criteria, and replies made to fit their schemas.
    Case(
        "misconception recipe",
        MISCONCEPTION,
        3,
        _seeds,
        partial(ScriptedProvider, keep=False),
        goal_ms=None,
    ),
)


async def _spent(case: Case, calls: int) -> Spent:
    async with live(case.recipe, case.provider()) as run:
        await run.journal.begin("{}")
        await engine(run).run(case.rows(20))  # schemas and statements are made once
        before = run.meter.calls
        with spending() as spent:
            await engine(run).run(case.rows(calls // case.calls))
        spent.calls = run.meter.calls - before
    return spent


def _run(case: Case, calls: int) -> Spent:
    return asyncio.run(_spent(case, calls))


Ask = Callable[[str], Awaitable[object]]


def _bare_openai(url: str, model: str) -> Ask:
    import openai

    client = openai.AsyncOpenAI(api_key=_KEY, base_url=url)

    async def ask(question: str) -> object:
        completion = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], max_tokens=600
        )
        return completion.choices[0].message.content

    return ask


def _bare_anthropic(url: str, model: str) -> Ask:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key=_KEY, base_url=url)

    async def ask(question: str) -> object:
        message = await client.messages.create(
            model=model, messages=[{"role": "user", "content": question}], max_tokens=600
        )
        return next(block.text for block in message.content if block.type == "text")

    return ask


def _bare_google(url: str, model: str) -> Ask:
    from google import genai

    client = genai.Client(api_key=_KEY, http_options={"base_url": url})

    async def ask(question: str) -> object:
        reply = await client.aio.models.generate_content(
            model=model, contents=question, config={"max_output_tokens": 600}
        )
        return reply.text

    return ask


@dataclass(frozen=True, slots=True)
class Vendor:
    """One provider, a fake of its vendor's server, and its SDK. ``goal`` is a share of the SDK's time."""

    name: str
    plugin: str
    server: str
    model: str
    bare: Callable[[str, str], Ask]
    goal: float | None = _GOAL_SHARE

    @property
    def installed(self) -> bool:
        """Whether there is anything to measure."""
        modules = (self.plugin.partition(":")[0], self.server.partition(":")[0])
        return all(find_spec(module) is not None for module in modules)


_VENDORS = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            "openai",
            "synthtutor_openai:OpenAI",
            "synthtutor.testing.server:OpenAIServer",
            "gpt-4.1-mini",
            _bare_openai,
        ),
        Vendor(
            "anthropic",
            "synthtutor_anthropic:Anthropic",
            "synthtutor.testing.anthropic_wire:AnthropicServer",
            "claude-haiku-4-5",
            _bare_anthropic,
        ),
        Vendor(
            "google",
            "synthtutor_google:Google",
            "synthtutor.testing.google_wire:GoogleServer",
            "gemini-2.5-flash",
            _bare_google,
            goal=None,
        ),
        # Beside OpenAI's SDK at its address, which is what our provider is built on.
        Vendor(
            "fireworks",
            "synthtutor_fireworks:Fireworks",
            "synthtutor.testing.fireworks_wire:FireworksServer",
            "accounts/fireworks/models/gpt-oss-20b",
            _bare_openai,
            goal=None,
        ),
    )
}


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


async def _serve(vendor: Vendor) -> None:
    server = _named(vendor.server)(fixed(REPLY), delay_s=_DELAY_S, keep=False)
    async with server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()  # until the process is ended


@contextmanager
def _serving(vendor: Vendor) -> Iterator[str]:
    command = [sys.executable, __file__, "--measure", "serve", vendor.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _asked(ask: Ask, count: int, in_flight: int) -> Spent:
    """Ask ``count`` questions in all, so many at once."""

    async def one_after_another(first: int) -> None:
        for number in range(first, count, in_flight):
            assert await ask(f"{PROMPT}\nRow {number}")

    await ask(PROMPT)
    with spending() as spent:
        async with asyncio.TaskGroup() as group:
            for first in range(in_flight):
                group.create_task(one_after_another(first))
    spent.calls = count
    return spent


async def _ours(vendor: Vendor, url: str, count: int, in_flight: int) -> Spent:
    endpoint = Endpoint(base_url=url, api_key=_KEY, max_in_flight=in_flight)
    provider = _named(vendor.plugin)(endpoint)
    model, settings = f"{vendor.name}/{vendor.model}", Settings(max_tokens=600)

    async def ask(question: str) -> object:
        response = await provider.complete(Request(model, [user(question)], settings=settings))
        return response.text

    try:
        return await _asked(ask, count, in_flight)
    finally:
        await provider.aclose()


def _measure(what: str, name: str, *more: str) -> None:
    """What a fresh process does: serve, or ask through ``ours`` or ``bare``."""
    vendor = _VENDORS[name]
    if what == "serve":
        return asyncio.run(_serve(vendor))
    url, count, in_flight = more[0], int(more[1]), int(more[2])
    if what == "ours":
        spent = asyncio.run(_ours(vendor, url, count, in_flight))
    else:
        spent = asyncio.run(_asked(vendor.bare(url, vendor.model), count, in_flight))
    print(json.dumps({"ms": spent.cpu_s / count * 1e3, "rate": count / spent.seconds}))
    return None


def _compared(vendor: Vendor, in_flight: int, count: int, times: int) -> list[object]:
    """A line of the table."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for _ in range(times):
        for what, several in found.items():
            with _serving(vendor) as url:
                asked = ("--measure", what, vendor.name, url, count, in_flight)
                several.append(fresh(__file__, *asked))
    ours, bare = (median(one["ms"] for one in several) for several in found.values())
    rates = [median(one["rate"] for one in several) for several in found.values()]
    goal = ("–", "") if vendor.goal is None else (vendor.goal, verdict(ours <= vendor.goal * bare))
    return [vendor.name, in_flight, ours, bare, f"{ours / bare:.2f}", *rates, *goal]


def _beside_the_sdks(quick: bool) -> None:
    lines: list[list[object]] = []
    for vendor in _VENDORS.values():
        if not vendor.installed:
            lines.append([vendor.name, "not installed", *[""] * 7])
            continue
        for in_flight, count in ((50, 200),) if quick else ((50, 1_000), (500, 2_000)):
            lines.append(_compared(vendor, in_flight, count, 1 if quick else 3))
    columns = ("provider", "in flight", "CPU ms/call", "bare SDK", "ratio")
    table((*columns, "calls/s", "bare SDK", "goal", ""), lines)


def main() -> None:
    """Print the tables, and the profile where it is asked for."""
    asked = options(__doc__, "--profile")
    if asked.measure:
        return _measure(*asked.measure)
    heading("The path of a call")
    calls, times = (1500, 3) if asked.quick else (9000, 5)
    lines = []
    for case in _CASES:
        spent = middle_of(times, partial(_run, case, calls))
        each = spent.cpu_s / spent.calls * 1e3
        loop = spent.thread_s / spent.calls * 1e3
        goal = ("–", "") if case.goal_ms is None else (case.goal_ms, verdict(each <= case.goal_ms))
        lines.append((case.name, each, loop, spent.calls / spent.seconds, *goal))
    table(("row", "CPU ms/call", "of it the event loop", "calls/s", "goal", ""), lines)
    for case in _CASES[:2] if asked.profile else ():
        profile = cProfile.Profile()
        profile.runcall(asyncio.run, _spent(case, calls))
        print(f"{case.name}: where the event loop's time goes (the profiler doubles it)")
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    heading("Each provider beside its bare SDK")
    _beside_the_sdks(asked.quick)
    return None


if __name__ == "__main__":
    main()
