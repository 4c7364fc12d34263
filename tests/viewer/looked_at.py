"""What tests of the viewer in a browser share: a browser that looks at it, and samples worth a look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.browser import Visit, browser_page
from tests.viewer.viewed import Served, sample, served

SCREENSHOTS = os.environ.get("SYNTHTUTOR_SCREENSHOTS")  # a folder, to look at what was seen


@contextmanager
def looking(*folders: Path, **size: Any) -> Iterator[tuple[Visit, Served]]:
    with served(*folders) as viewer, browser_page(**size) as visit:
        visit.page.goto(viewer.address)
        visit.page.wait_for_selector("main")
        yield visit, viewer


def shot(visit: Visit, name: str, *, whole: bool = False) -> None:
    if SCREENSHOTS:
        visit.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=whole)


def dialogue(number: int) -> dict[str, Any]:
    """A dialogue of seven turns, with what was believed of the student."""
    said = [
        ("student", "I took the smaller from the larger: $8-2=6$ and $6-3=3$, so it is 36."),
        ("tutor", "Which of the two numbers do you take away, and from which digit?"),
        ("student", "38. But 2 is smaller than 8, so I turned them around."),
        ("tutor", "What would you need at the ones to take 8 from 2?"),
        ("student", "I could open a ten: $12-8=4$. Then there are \\(5-3=2\\) tens. 24!"),
        ("tutor", r"So what is $\frac{62-38}{2}$?"),
    ]
    turns = [
        {"turn": n, "speaker": who, "text": text, "move": ""} for n, (who, text) in enumerate(said)
    ]
    quote = {"turn": 0, "quote": "the smaller from the larger"}
    held = {"misconception": "In each column the smaller digit is taken from the larger.", "probability": 0.85, "evidence": [quote]}  # fmt: skip
    rest = {
        "last_correct_step": "none",
        "affect": "confident",
        "next_move": "ask which number is taken away",
    }
    states: list[dict[str, Any]] = [
        {"turn": 0, "changed": True, "belief": {"misconceptions": [held], **rest}},
        {"turn": 2, "changed": False, "belief": None},
        {"turn": 4, "changed": True, "belief": {"misconceptions": [], **rest, "affect": "engaged"}},
    ]
    body = sample(number, "kept", turns=turns, belief_states=states, subject="subtraction")
    body["messages"] = [body["messages"][0], *({"role": "assistant" if t["speaker"] == "tutor" else "user", "content": t["text"]} for t in turns)]  # fmt: skip
    return body


def markdown(number: int) -> dict[str, Any]:
    """A reply with everything that models like to write."""
    body = sample(number, "kept")
    body["messages"][2]["content"] = MARKDOWN
    return body


MARKDOWN = r"""### Where the parts come from

**Almost!** You kept the *sizes* of the parts apart, which is `half` of it:

1. What is $\frac{1}{2}$ in sixths?
2. And $\frac{1}{3}$?
   - draw it, or
   - count 2*3 parts

| fraction | sixths |
|:---------|-------:|
| $\frac12$ | 3 |
| $\frac13$ | 2 |

$$
\frac{a}{b} + \frac{c}{d}
= \frac{ad + bc}{bd}
$$

> “The parts must be of one size.”

```python
from fractions import Fraction
print(Fraction(1, 2) + Fraction(1, 3))  # a line that is rather long, longer than a phone is wide, by far
```

See [the lesson](https://school.example/fractions) or ![a drawing](https://school.example/parts.png)."""


def ratings(folder: Path) -> list[dict[str, Any]]:
    path = folder / "ratings.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
