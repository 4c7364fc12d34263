"""A trained folder on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from synthtutor.errors import ConfigError
from synthtutor.training.embedded import weights_of

__all__ = ["check_access", "on_hub", "push"]

_STAYS = ["checkpoints/*", "splits/*", "training.json", ".cache/*", ".*.tmp"]


def check_access(repository: str) -> None:
    """Raises ConfigError where the hub would not take the result: before hours of training, not after.

    That is: no token, one that the hub does not know, or a name that no repository can have.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils._validators import validate_repo_id

    if get_token() is None:
        raise ConfigError("push-to-hub: no token: run hf auth login, or set HF_TOKEN")
    try:
        validate_repo_id(repository)
        HfApi().whoami()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"push-to-hub: {_line(error)}") from error


def push(folder: Path, repository: str) -> str:
    """Upload the folder to OWNER/NAME, private unless it is there already; where it then is.

    Checkpoints and the rows themselves stay here. Raises ConfigError where that fails; the folder
    is as it was.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        found = api.upload_folder(repo_id=repository, folder_path=folder, ignore_patterns=_STAYS)
    except Exception as error:  # whatever it is, hours of training are not to end in a traceback
        raise ConfigError(
            f"push-to-hub: {repository}: {_line(error)}; the result is in {folder}: the same "
            "command with --resume uploads it"
        ) from error
    return str(found)


def on_hub(model: str) -> bool:
    """Whether a model's name can be one of the hub's: not a folder, a file, or another provider's."""
    named = re.fullmatch(r"[\w.-]+/[\w.-]+", model) is not None
    return named and not Path(model).exists() and weights_of(model) is None


def _line(error: Exception) -> str:
    """What the hub said, in a line: its messages have several, with what to read about tokens."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(said)[:300].rstrip(". ") if said else type(error).__name__
