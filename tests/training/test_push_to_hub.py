"""A trained folder goes to a hub that speaks what huggingface_hub asks, and nothing secret with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.hub_server import Hub, serving
from tests.training.jobs import SMALL
from tests.training.rows import conversation, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOKEN = "hf_" + "s3cr3tOfTheOwner" * 2


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(TOKEN)) as found:
        yield found


def train(hub: Hub, model: Path, folder: Path, *more: str, token: str = TOKEN) -> tuple[int, str]:
    """The exit code, and all that was said."""
    data = write_rows(folder / "rows.jsonl", [conversation(n) for n in range(20)])
    settings = [f"--set={name}={value}" for name, value in {**SMALL, "max_steps": 2}.items()]
    command = [*("train", "sft", str(data), "--model", str(model), "--out", str(folder / "out"))]
    given = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": token,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",  # the older protocol: the newer has servers of its own
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "synthtutor", *command, *settings),
            *("--push-to-hub", "me/tutor", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=given,
    )
    return done.returncode, done.stdout + done.stderr


def told(said: str) -> str:
    """The one line with which the command ended."""
    assert "Traceback" not in said
    (line,) = (line for line in said.splitlines() if line.startswith("synthtutor: "))
    return line


def test_the_adapter_and_its_card_are_uploaded_privately_and_no_rows_or_token_with_them(
    hub: Hub, tiny: Path, tmp_path: Path
) -> None:
    code, said = train(hub, tiny, tmp_path)
    assert code == 0, said
    assert f"{hub.url}/me/tutor" in said
    assert hub.private == {"me/tutor": True}
    files = hub.files["me/tutor"]
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= files.keys()
    assert {"tokenizer.json", "metrics.json", "splits.json"} <= files.keys()
    for name, content in files.items():
        assert content == (tmp_path / "out" / name).read_bytes()
    assert not [name for name in files if name.startswith(("splits/", "checkpoints", "training"))]
    assert b"Trained by `synthtutor train sft`" in files["README.md"]
    # A folder of one's own is no name that the hub would take for the base.
    assert b"base_model:" not in files["README.md"]
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert TOKEN not in said
    assert not any(TOKEN.encode() in content for content in [*written, *files.values()])


def test_a_token_that_the_hub_does_not_know_is_told_before_training(
    hub: Hub, tiny: Path, tmp_path: Path
) -> None:
    code, said = train(hub, tiny, tmp_path, token="hf_" + "wrong" * 7)
    assert code == 2
    assert "push-to-hub: Invalid user token" in told(said)
    assert "hf_wrong" not in said
    assert not (tmp_path / "out").exists()
    assert "GET /api/whoami-v2" in hub.asked
    assert not [asked for asked in hub.asked if asked.startswith("POST")]


def test_what_was_trained_is_kept_where_the_upload_fails_and_goes_up_when_it_is_resumed(
    hub: Hub, tiny: Path, tmp_path: Path
) -> None:
    hub.closed = True
    code, said = train(hub, tiny, tmp_path)
    assert code == 2
    assert "push-to-hub: me/tutor: " in told(said)
    assert "--resume uploads it" in told(said)
    weights = (tmp_path / "out" / "adapter_model.safetensors").read_bytes()
    assert hub.files == {}
    hub.closed = False
    code, said = train(hub, tiny, tmp_path, "--resume")
    assert code == 0, said
    assert hub.files["me/tutor"]["adapter_model.safetensors"] == weights
