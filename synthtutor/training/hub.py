"""A trained folder on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from synthtutor.errors import ConfigError

__all__ = ["check_token", "push"]

_STAYS = ["checkpoints/*", "splits/*", "training.json"]


def check_token() -> None:
    """Raises ConfigError where nobody is logged in: before hours of training, not after them."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise ConfigError("push-to-hub: no token: run hf auth login, or set HF_TOKEN")


def push(folder: Path, repository: str) -> str:
    """Upload the folder to OWNER/NAME, private unless it is there already; where it then is.

    Checkpoints and the rows themselves stay here. Raises ConfigError where the hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    check_token()
    api = HfApi()
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        found = api.upload_folder(repo_id=repository, folder_path=folder, ignore_patterns=_STAYS)
    except (HfHubHTTPError, ValueError, OSError) as error:
        raise ConfigError(f"push-to-hub: {repository}: {error}") from error
    return str(found)
