"""Where rubric packs lie: with synthtutor, in a file of the user's, or in another distribution.

A distribution offers packs by an entry point in the group ``synthtutor.rubrics`` whose value is a
package of YAML files. They are data, so the package's own code is not run to read them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from synthtutor.errors import RubricError
from synthtutor.yaml_text import parse_yaml

__all__ = ["builtin_packs", "is_path", "read_pack"]

_SUFFIXES = (".yaml", ".yml")


def builtin_packs() -> list[str]:
    """The names of the packs that come with synthtutor."""
    return sorted(_packs_in(_builtin()))


def is_path(name: str | os.PathLike[str]) -> bool:
    """Whether a pack is named by its file."""
    return not isinstance(name, str) or name.endswith(_SUFFIXES)


def read_pack(name: str | os.PathLike[str]) -> tuple[object, str]:
    """The content of a pack's YAML, and where it was read, for messages.

    Raises RubricError for a name or file that is not there, and for YAML that cannot be read.
    """
    if is_path(name):
        place: Traversable = Path(name)
    else:
        place = _named(str(name))
    text = _text(place, str(place))
    return parse_yaml(text, str(place), error=RubricError), str(place)


def _named(name: str) -> Traversable:
    if (own := _packs_in(_builtin()).get(name)) is not None:
        return own
    offers = {
        point.name: packs
        for point in entry_points(group="synthtutor.rubrics")
        for packs in [_offered(point.value)]
    }
    holding = [point for point, packs in offers.items() if name in packs]
    if len(holding) > 1:
        raise RubricError(
            f"rubric {name!r} is offered by {' and '.join(holding)}; give the path of the one you mean"
        )
    if not holding:
        known = sorted({*builtin_packs(), *(pack for packs in offers.values() for pack in packs)})
        raise RubricError(
            f"no rubric {name!r}; there are {', '.join(known)}. A file's name ends in .yaml"
        )
    return offers[holding[0]][name]


def _offered(package: str) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for folder in _folders(package):
        found |= _packs_in(folder)
    return found


def _folders(package: str) -> Iterator[Traversable]:
    """The folders of an installed package. Looking for a top-level one runs none of its code."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        return
    if spec is None:
        return
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if all(place.is_dir() for place in places):
        yield from places
    else:
        yield files(package)  # from a zip file: only its loader can list it


def _packs_in(folder: Traversable) -> dict[str, Traversable]:
    return {
        entry.name.rpartition(".")[0]: entry
        for entry in folder.iterdir()
        if entry.name.endswith(_SUFFIXES) and entry.is_file()
    }


@lru_cache(maxsize=1)
def _builtin() -> Traversable:
    installed = files("synthtutor") / "rubrics"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "rubrics"


def _text(place: Traversable, source: str) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except OSError as error:
        raise RubricError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RubricError(f"{source}: is not UTF-8 text") from error
