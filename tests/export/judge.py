"""Runs inside the validators' environment: reads paths, answers one JSON line each.

The answer is null where the validator named in the first argument takes the file, else why not.
"""

# mypy: ignore-errors

import json
import os
import sys
from pathlib import Path


def parallelogram():
    from parallelogram.cli import app
    from typer.testing import CliRunner

    def refusal(path):
        result = CliRunner().invoke(app, ["check", path, "--format", "openai-chat", "--json"])
        if result.exit_code in (0, 1):  # clean, or warnings only
            return None
        return result.stdout or repr(result.exception)

    return refusal


def mistral():
    from mistral_common.protocol.instruct import messages
    from mistral_common.protocol.instruct.validator import (
        MistralRequestValidatorV3,
        ValidationMode,
    )

    validator = MistralRequestValidatorV3(mode=ValidationMode.finetuning)
    kinds = {
        "system": messages.SystemMessage,
        "user": messages.UserMessage,
        "assistant": messages.FinetuningAssistantMessage,
        "tool": messages.ToolMessage,
    }

    def refusal(path):
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if line.strip():
                said = json.loads(line)["messages"]
                validator.validate_messages([kinds[m["role"]].model_validate(m) for m in said])

    return refusal


def together():
    from together.utils.files import check_file

    def refusal(path):
        report = check_file(Path(path))
        return None if report["is_check_passed"] else str(report.get("message"))

    return refusal


def main(name):
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what the validators print must not mix with our answers
    refusal = {"parallelogram": parallelogram, "mistral-common": mistral, "together": together}[
        name
    ]()
    for path in sys.stdin:
        try:
            answer = refusal(path.rstrip("\n"))
        except Exception as error:  # a validator that crashes does not take the file
            answer = repr(error)
        answers.write(json.dumps(answer and answer[:2000]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
