"""A judge's levels for a file of replies: the part that `evaluate` and `compare` share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthtutor.evaluation.evaluate import Judged

__all__ = ["PASSED", "RECIPE", "NotJudged", "judged"]

RECIPE = "synthtutor.evaluation.judging:GRADED"
PASSED = (
    *("budget", "price", "concurrency", "seed", "prompts", "base_url", "provider_option", "batch"),
)


class NotJudged(Exception):
    """The run stopped with work left; ``code`` is the command's exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def judged(path: Path, folder: Path, given: Mapping[str, Any]) -> Judged:
    """Have the file judged in the folder, or take what was judged there before.

    ``given`` holds ``judge``, ``pack``, ``apart`` and the options of a run. Raises NotJudged where
    the run did not come to its end.
    """
    from synthtutor.cli.configuration import configured
    from synthtutor.cli.folder import journal_of
    from synthtutor.cli.running import execute
    from synthtutor.evaluation.evaluate import Judged
    from synthtutor.evaluation.judging import chosen_packs, graded_replies

    judge = given["judge"].removeprefix("judge=")
    names = ",".join(given.get("pack") or []) or None
    packs = chosen_packs(names)
    option = [f"packs={names}"] if names else []
    option += ["mode=apart"] if given.get("apart") else []
    config = configured(
        RECIPE,
        {name: given.get(name) for name in PASSED}
        | {name: _of_judge(given.get(name)) for name in ("temperature", "max_tokens")}
        | {"model": [f"judge={judge}"], "rows": path, "controls": 0, "option": option},
    )
    code = execute(
        config,
        folder,
        retry_failed=bool(given.get("retry_failed")),
        yes=bool(given.get("yes")),
        samples=False,
        as_json=bool(given.get("json")),
        argv=sys.argv,
    )
    if code:
        raise NotJudged(code)
    with journal_of(folder) as reading:
        levels = {each["id"]: each["levels"] for each in graded_replies(reading)}
    return Judged(judge, packs, levels)


def _of_judge(value: float | None) -> list[str]:
    return [] if value is None else [f"judge={value:g}"]
