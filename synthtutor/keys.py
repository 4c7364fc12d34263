"""Where API keys come from: the environment, a ``.env`` file or the keyring, in that order.

A key is looked up when a provider is built, and handed to that provider alone: nothing is written
into ``os.environ``. Only keys are read from a ``.env`` file, never an address: a folder that was
cloned from somewhere must not be able to say where a key from the environment is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthtutor.errors import ConfigError

__all__ = ["SERVICE", "Key", "dotenv_files", "find", "store"]

SERVICE = "synthtutor"  # under which the keyring holds keys, each by its variable's name

_NO_KEYRING = "NoKeyringError"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the variable that names it, and the place where it was found."""

    value: str = field(repr=False)
    variable: str
    place: str


def find(*variables: str) -> Key:
    """The key in the first place that has one of the variables, the first of them where several are.

    Raises ConfigError, naming the variables and the places, where there is none.
    """
    troubles: list[str] = []
    for key in _candidates(variables, troubles):
        value = (key.value or "").strip()
        if value:
            return Key(value, key.variable, key.place)
    install = "" if _has_keyring() else ', with pip install "synthtutor[keyring]"'
    places = (
        f"no API key: set {' or '.join(variables)} in the environment, in a .env file (in this "
        f"folder or above it) or in the keyring (synthtutor providers set-key NAME{install})"
    )
    raise ConfigError("; ".join([places, *troubles]))


def store(variable: str, value: str) -> str:
    """Keep a key in the keyring; the keyring's own name. Raises ConfigError where it cannot."""
    try:
        import keyring

        keyring.set_password(SERVICE, variable, value)
        return str(keyring.get_keyring().name)
    except Exception as error:  # a backend is somebody else's code, and may quote what it was given
        if not _has_keyring():
            raise ConfigError('no keyring: pip install "synthtutor[keyring]"') from None
        raise ConfigError(_keyring_trouble(error).replace(value, "[redacted]")) from None


def dotenv_files(folder: Path) -> list[Path]:
    """Where a ``.env`` file may lie, nearest first.

    From the folder upwards, to the root of its repository or to the home folder, whichever comes
    first; outside both, in the folder alone: ``/tmp/.env`` may be anybody's.
    """
    home = Path.home().resolve()
    files = []
    for place in (folder, *folder.parents):
        files.append(place / ".env")
        if (place / ".git").exists() or place == home != place.parent:
            return files
    return files[:1]


def _candidates(variables: Sequence[str], troubles: list[str]) -> Iterator[Key]:
    for variable in variables:
        yield Key(os.environ.get(variable, ""), variable, "the environment")
    yield from _from_files(variables, troubles)
    yield from _from_keyring(variables, troubles)


def _from_files(variables: Sequence[str], troubles: list[str]) -> Iterator[Key]:
    try:
        files = [path for path in dotenv_files(Path.cwd()) if path.exists() and not path.is_dir()]
    except (OSError, RuntimeError):  # a folder that is gone or closed to us, no home
        return
    for path in files:
        from dotenv import dotenv_values

        try:
            values = dotenv_values(path)
        except OSError as error:
            troubles.append(f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            troubles.append(f"{path} cannot be read: it is not UTF-8")
        else:
            for variable in variables:
                yield Key(values.get(variable) or "", variable, str(path))


def _from_keyring(variables: Sequence[str], troubles: list[str]) -> Iterator[Key]:
    if not _has_keyring():
        return
    for variable in variables:
        try:
            import keyring

            value = keyring.get_password(SERVICE, variable)
        except Exception as error:  # a backend is somebody else's code: it may raise anything
            if type(error).__name__ != _NO_KEYRING:
                troubles.append(_keyring_trouble(error))
            return
        yield Key(value or "", variable, "the keyring")


def _has_keyring() -> bool:
    from importlib.util import find_spec

    return find_spec("keyring") is not None


def _keyring_trouble(error: Exception) -> str:
    name = type(error).__name__
    if name == _NO_KEYRING:
        return "this machine has no keyring that Python can use"
    said = str(error).strip().partition("\n")[0]
    return f"the keyring cannot be used: {name}{f': {said}' if said else ''}"
