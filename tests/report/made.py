"""A small real run whose every figure can be counted by hand, and hostile text to put into one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from synthtutor import Message, Result, Sample, Session, recipe, run
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities
from synthtutor.testing import ScriptedProvider

RUBRIC = Path(__file__).parents[2] / "examples" / "short_reply.yaml"
SUBJECTS = ("algebra", "history", "<b>physics</b>")
KINDS = ("overgeneralization", "confusing_similar_terms")
# Each call: 100 tokens at $1 and 10 at $2 a million.
PRICE = (1.0, 2.0)
CALL_USD = 0.00012

# What the judge says of row n, by n % 4: every fourth is wrong, every fourth has two faults.
GOOD = {"sr.finds-error": True, "sr.one-question": True, "sr.example": True, "sr.wrong": False}
PLAN: Mapping[int, Mapping[str, bool]] = {
    0: GOOD,
    1: GOOD,
    2: {**GOOD, "sr.wrong": True},
    3: {**GOOD, "sr.one-question": False, "sr.example": False},
}

HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "</style><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"><a href='javascript:alert(1)'>x</a></svg>",
    "[a link](javascript:document.title='owned') javascript:alert(1)",
    "' onmouseover='document.title=1' x='",
    '" autofocus onfocus="document.title=1',
    "<meta http-equiv=refresh content='0;url=https://example.com/'>",
    "<iframe src=https://example.com></iframe><base href=https://example.com>",
    "{{ 7 * 7 }}{% raw %} ${7*7} </details></section>",
    "right to left: \u202egpj.exe\u202c and \u2066isolated\u2069",
    "controls: \x00 \x1b[31m \x7f \u2028 \ufeff \U000e0041 \ufffe",
    "<!-- --><![CDATA[ ]]>&lt;&#x3c;",
)


@recipe(name="tutoring", roles=("writer", "judge"), rubric=str(RUBRIC))
async def tutoring(session: Session, row: dict[str, Any]) -> Sample:
    """One reply, judged."""
    text = await session.generate(str, f"answer row {row['n']}", role="writer")
    judged = await session.judge(text, session.rubric, context=f"row {row['n']}", role="judge")
    return Sample(
        [Message("user", f"question {row['n']}"), Message("assistant", text)],
        metadata={**row.get("more", {}), **judged.to_metadata()},
        outcome=judged.score.outcome,
        reasons=judged.score.reasons,
    )


def rows(count: int) -> list[dict[str, Any]]:
    """Row n has subject n % 3, kind n % 2 and grade 5 + n % 3."""
    return [
        {
            "n": n,
            "more": {
                "subject": SUBJECTS[n % 3],
                "misconception_type": KINDS[n % 2],
                "persona": {"grade": 5 + n % 3},
            },
        }
        for n in range(count)
    ]


def script(
    text: Callable[[int], str] = lambda n: f"Well, {'word ' * (n + 1)}reply {n}.",
    evidence: str = "seen here",
) -> Callable[[Request], Response]:
    """Writes ``text(n)`` for row n, and judges it by `PLAN`."""

    def answer(request: Request) -> Response:
        said = request.messages[-1].content
        found = re.search(r"row (\d+)", said)
        if request.schema is None:
            assert found is not None
            return reply(text(int(found[1])))
        plan = GOOD if found is None else PLAN[int(found[1]) % 4]
        verdicts = {name: {"evidence": evidence, "observed": holds} for name, holds in plan.items()}
        return reply(orjson.dumps(verdicts).decode())

    return answer


def reply(text: str) -> Response:
    return Response(text, usage=Usage(100, 10), model="m")


def made(
    folder: Path,
    count: int = 12,
    answer: Callable[[Request], Response] | None = None,
    *,
    capabilities: Capabilities | None = None,
    **more: Any,
) -> Result:
    """The run of that many rows in the folder, with two controls."""
    provider = ScriptedProvider(answer or script(), keep=False, capabilities=capabilities)
    more.setdefault("rows", rows(count))
    return run(
        tutoring,
        models=more.pop("models", "scripted/m"),
        out=folder,
        providers={"scripted": provider},
        controls=2,
        prices={"scripted/m": PRICE},
        **more,
    )
