"""Whole rows over HTTP through the ``compatible`` provider, beside two bare clients in the same run.

The server is a process of its own that answers after a fixed latency. *synthtutor* is everything:
session, limits, meter, HTTP, parsing, a journal on disk, a record of each sample. *pyreqwest* is
the same requests with nothing around them but a semaphore and orjson; *openai SDK* the same with
AsyncOpenAI, without retries and without limits on connections or time. Each figure comes from a
fresh process (the median of three at 500 × 0.2 s; of one with ``--quick``).
The ideal rate is calls in flight / latency.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from operator import itemgetter

import orjson
from measuring import Spent, fresh, heading, options, peak_mb, spending, table, verdict
from workload import PROMPT, REPLY, asking, engine, live, rows

from synthtutor.loops import run as run_on_a_loop
from synthtutor.provider import Endpoint
from synthtutor.testing.server import server_process

_GOAL_MS = 0.35
_GOAL_SHARE = 0.9
_CLIENTS = ("synthtutor", "pyreqwest", "openai SDK")
# (in flight, latency, rows of the lean clients, rows of the SDK)
_FULL = (
    (50, 0.2, 2_000, 500),
    (50, 1.0, 400, 100),
    (500, 0.2, 10_000, 1_500),
    (500, 1.0, 5_000, 1_000),
    (2_000, 0.2, 20_000, 2_500),
    (2_000, 1.0, 60_000, 3_000),
)
_QUICK = ((50, 0.2, 300, 100), (500, 0.2, 2_000, 500), (2_000, 1.0, 4_000, 0))
_KEY = "unused"  # the server does not look at it


async def _ours(url: str, count: int, in_flight: int) -> Spent:
    from synthtutor_compatible import Compatible

    provider = Compatible(Endpoint(base_url=url, max_in_flight=in_flight, options={"free": "true"}))
    async with live(asking(1, str), provider, concurrency=in_flight) as run:
        await run.journal.begin("{}")
        await engine(run).run(rows(1))
        with spending() as spent:
            await engine(run).run(rows(count))
        assert run.stop.error is None
        assert run.progress.failed == 0
    await provider.aclose()
    return spent


async def _many(ask: Callable[[str], Awaitable[str]], count: int, in_flight: int) -> Spent:
    """Ask ``count`` questions, so many at once: what a script without a library does."""
    places = asyncio.Semaphore(in_flight)

    async def one(question: str) -> None:
        try:
            assert await ask(question)
        finally:
            places.release()

    await ask(PROMPT)
    with spending() as spent:
        async with asyncio.TaskGroup() as group:
            for row in rows(count):
                await places.acquire()
                group.create_task(one(f"{row['question']}\nTurn 0"))
    return spent


async def _raw(url: str, count: int, in_flight: int) -> Spent:
    from pyreqwest.client import ClientBuilder

    address = f"{url}/chat/completions"
    headers = {"content-type": "application/json", "authorization": f"Bearer {_KEY}"}
    async with ClientBuilder().build() as client:

        async def ask(question: str) -> str:
            messages = [{"role": "user", "content": question}]
            body = orjson.dumps({"model": "m", "messages": messages, "max_tokens": 600})
            response = await client.post(address).headers(headers).body_bytes(body).build().send()
            content = await response.bytes()
            return str(orjson.loads(content.to_bytes())["choices"][0]["message"]["content"])

        spent = await _many(ask, count, in_flight)
    await asyncio.sleep(0.1)  # an interpreter that ends under its threads' last reply aborts
    return spent


async def _sdk(url: str, count: int, in_flight: int) -> Spent:
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    # The default of five seconds to connect fails calls here: its own work keeps it from connecting.
    connections = openai.DefaultAsyncHttpxClient(limits=limits, timeout=httpx2.Timeout(600))
    async with openai.AsyncOpenAI(
        api_key=_KEY, base_url=url, max_retries=0, http_client=connections
    ) as client:

        async def ask(question: str) -> str:
            completion = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": question}], max_tokens=600
            )
            return completion.choices[0].message.content or ""

        return await _many(ask, count, in_flight)


def _measure(client: str, url: str, count: int, in_flight: int) -> None:
    run = {"synthtutor": _ours, "pyreqwest": _raw, "openai SDK": _sdk}[client]
    spent = run_on_a_loop(run(url, count, in_flight))
    figures = {"s": spent.seconds, "ms": spent.cpu_s / count * 1e3, "mb": peak_mb()}
    print(json.dumps(figures))


def _compared(
    in_flight: int, latency_s: float, counts: dict[str, int], repeated: int
) -> list[list[object]]:
    """A line of the table for each client, the first being ours."""
    lines: list[list[object]] = []
    ours_ms = 0.0
    arguments = ("--delay-s", str(latency_s), "--text", REPLY)
    for client, count in counts.items():
        if not count:
            continue
        times = repeated if (in_flight, latency_s) == (500, 0.2) and client != "openai SDK" else 1
        with server_process(*arguments) as root:
            asked = ("--measure", client, f"{root}/v1", count, in_flight)
            several = sorted((fresh(__file__, *asked) for _ in range(times)), key=itemgetter("ms"))
        found = several[times // 2]
        ours_ms = ours_ms or found["ms"]
        share = count / found["s"] / (in_flight / latency_s)
        marks = []
        if client == "synthtutor" and in_flight == 500:
            marks.append(f"≤ {_GOAL_MS} ms {verdict(found['ms'] <= _GOAL_MS)}")
        if client == "synthtutor" and (in_flight, latency_s) == (2_000, 1.0):
            marks.append(f"≥ {_GOAL_SHARE:.0%} {verdict(share >= _GOAL_SHARE)}")
        lines.append(
            [
                f"{in_flight:,} × {latency_s:g} s", client, f"{count:,}", found["ms"],
                f"{found['ms'] / ours_ms:.2f}", count / found["s"], f"{share:.0%}",
                found["mb"], ", ".join(marks),
            ]
        )  # fmt: skip
    return lines


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    if asked.measure:
        client, url, count, in_flight = asked.measure
        return _measure(client, url, int(count), int(in_flight))
    heading("Rows over HTTP")
    lines = []
    for in_flight, latency_s, lean, sdk in _QUICK if asked.quick else _FULL:
        counts = dict(zip(_CLIENTS, (lean, lean, sdk), strict=True))
        lines += _compared(in_flight, latency_s, counts, 1 if asked.quick else 3)
    columns = ("in flight × latency", "client", "rows", "CPU ms/row", "× ours", "rows/s")
    table((*columns, "of ideal", "peak MB", "goal"), lines)
    return None


if __name__ == "__main__":
    main()
