"""Give a run a provider of your own, without installing anything.

python examples/05_own_provider.py [PROVIDER/MODEL of the judge]

`examples/plugin/` shows the other way: an installed package whose provider every run finds by name.
"""

import sys
from pathlib import Path

from synthtutor import run
from synthtutor.errors import Rejected
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities

SAYINGS = {
    "kind": "That is a natural idea. Which step of the explanation does it rest on?",
    "brief": "Look at the definition again: does it say that?",
}


class Sayings:
    """A provider has these three methods. This one gives a fixed answer per model."""

    async def complete(self, request: Request) -> Response:
        """One request in, one response out. Do not retry here: synthtutor does that."""
        text = SAYINGS.get(request.model_name)
        if text is None:  # this reason stops the run at once: no other row can succeed
            raise Rejected(f"no model {request.model_name!r}", reason="model")
        prompt = sum(len(message.content) for message in request.messages)
        return Response(text, Usage(prompt // 4 + 1, len(text) // 4 + 1), model=request.model_name)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # the same for all
        """It promises no JSON, costs nothing, and writes nothing to train on."""
        return Capabilities(
            structured_output="none", seed=False, free=True, demonstration_only=True
        )

    async def aclose(self) -> None:
        """Nothing to close."""


result = run(
    "misconception",
    mode="answer",
    models={
        "writer": "sayings/kind",
        "judge": sys.argv[1] if len(sys.argv) > 1 else "scripted/any",
    },
    rows=Path(__file__).parent / "seeds.jsonl",
    out="runs/own-provider",
    providers={"sayings": Sayings()},
)
print(f"{result.summary.made} made, {result.summary.kept} kept")
for entry in result.summary.account:
    print(f"  {entry['role']} ({entry['kind']}), {entry['model']}: {entry['calls']} calls")
