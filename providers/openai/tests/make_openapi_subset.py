"""Make `openapi_subset.json`: the schemas of the requests we send, out of OpenAI's own description.

    python make_openapi_subset.py openapi.yaml "commit f85dbe2 of 2026-08-21"

``openapi.yaml`` is the one in github.com/openai/openai-openapi. What is kept checks, what is left
out explains.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOTS = ("CreateChatCompletionRequest", "CreateBatchRequest", "CreateFileRequest")
EXPLAINS = {"description", "title", "example", "examples", "x-oaiMeta", "x-oaiTypeLabel"}
COMMENT = (
    "Schemas from OpenAI's API description (github.com/openai/openai-openapi, {version}), without"
    " their descriptions; MIT, Copyright (c) OpenAI, see openapi_subset.LICENSE.txt. Made by"
    " make_openapi_subset.py."
)


def references(node: Any) -> Iterator[str]:
    """The names of the schemas that a part of the description refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value.rsplit("/", 1)[1]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def bare(node: Any, *, names: bool = False) -> Any:
    """The part without its explanations; ``names`` where keys are the API's own field names."""
    if isinstance(node, dict):
        return {
            key: bare(value, names=key == "properties" and not names)
            for key, value in node.items()
            if names or key not in EXPLAINS
        }
    return [bare(value) for value in node] if isinstance(node, list) else node


def subset(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The roots and all they refer to."""
    kept: dict[str, Any] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = bare(schemas[name])
            wanted += references(kept[name])
    return dict(sorted(kept.items()))


def main(source: str, version: str) -> None:
    with Path(source).open(encoding="utf-8") as file:
        schemas = yaml.safe_load(file)["components"]["schemas"]
    made = {
        "$comment": COMMENT.format(version=version),
        "components": {"schemas": subset(schemas)},
    }
    target = Path(__file__).with_name("openapi_subset.json")
    target.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
