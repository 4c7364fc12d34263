from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import JournalError
from synthtutor.viewer.index import Index
from synthtutor.viewer.queries import Query, facets, page
from tests.viewer.viewed import completed, journal, name_of, sample


def listed(index: Index, **query: Any) -> list[str]:
    index.catch_up()
    with index.reading() as connection:
        return [line.id for line in page(connection, Query(**query), {})[0]]


def counted(index: Index, name: str) -> dict[str, int]:
    index.catch_up()
    with index.reading() as connection:
        return dict(facets(connection, Query(), {}).values.get(name, []))


def test_a_run_that_goes_on_is_followed(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(0), sample(1)])
    index = Index(folder)
    assert len(listed(index)) == 2
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO samples VALUES (?, 'sample', 2, 1, 'kept', '', ?)",
            (bytes.fromhex(name_of(2)), orjson.dumps(sample(2, "kept"))),
        )
    assert listed(index) == [name_of(0), name_of(1), name_of(2)]
    index.close()


def test_a_sample_that_is_made_again_is_found_by_its_new_text_only(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(number) for number in range(3)])
    index = Index(folder)
    assert listed(index, text="parts") == [name_of(0), name_of(1), name_of(2)]
    new = sample(1, "kept", subject="botany")
    new["messages"][2]["content"] = "Chlorophyll."
    journal(folder, [sample(0), new, sample(2)])
    assert listed(index, text="chlorophyll") == [name_of(1)]
    assert listed(index, text="parts") == [name_of(0), name_of(2)]
    assert counted(index, "outcome") == {"kept": 2, "rejected": 1}
    assert counted(index, "subject") == {"algebra": 1, "botany": 1, "finance": 1}
    index.close()


def test_samples_that_the_last_complete_pass_did_not_make_are_gone(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(number) for number in range(4)])
    index = Index(folder)
    assert len(listed(index)) == 4
    journal(folder, [sample(0), sample(9)])
    assert len(listed(index)) == 5  # the pass is still going
    completed(folder)
    assert listed(index) == [name_of(0), name_of(9)]
    assert sum(counted(index, "outcome").values()) == 2
    index.close()


def test_the_index_is_kept_and_made_again_for_another_journal(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(0), sample(1)])
    first = Index(folder)
    assert len(listed(first)) == 2
    first.close()
    before = (folder / "view.sqlite").stat().st_ino
    again = Index(folder)
    again.close()
    assert (folder / "view.sqlite").stat().st_ino == before
    (folder / "journal.sqlite").unlink()
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    journal(folder, [sample(7)])
    other = Index(folder)
    assert listed(other) == [name_of(7)]
    other.close()


def test_a_broken_index_is_made_again(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(0)])
    (folder / "view.sqlite").write_bytes(b"not a database, but long enough to look at" * 50)
    index = Index(folder)
    assert listed(index) == [name_of(0)]
    index.close()


def test_the_journal_is_only_read(tmp_path: Path) -> None:
    folder = journal(tmp_path, [sample(0)])
    index = Index(folder)
    with index.source() as source, pytest.raises(sqlite3.OperationalError, match="readonly"):
        source.execute("DELETE FROM samples")
    index.close()


def test_an_index_that_cannot_be_in_the_folder_is_elsewhere_and_goes_with_the_viewer(
    tmp_path: Path,
) -> None:
    folder = journal(tmp_path, [sample(0)])
    (folder / "view.sqlite").mkdir()  # nothing can be written under this name
    index = Index(folder)
    assert listed(index) == [name_of(0)]
    elsewhere = index.path
    assert elsewhere.parent != folder
    index.close()
    assert not elsewhere.exists()


def test_a_long_journal_is_taken_in_by_and_by(tmp_path: Path) -> None:
    folder = journal(tmp_path, (sample(number) for number in range(4500)))
    index = Index(folder)
    there, left = index.refresh()
    assert there == 2000
    assert left == 2500
    index.catch_up()
    assert index.refresh() == (4500, 0)
    index.close()


def test_samples_of_any_form_are_taken(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"id": name_of(0), "messages": [], "metadata": {"outcome": "failed", "reasons": ["no reply"]}},
        {"id": name_of(1), "messages": [None, {"role": 3}], "metadata": {"outcome": "kept", "reasons": [], "subject": ["x"], "weighted": "high"}},
        {"id": name_of(2), "messages": "text", "metadata": {"outcome": "kept", "reasons": [], "persona": "shy", "grade": 0}},
    ]  # fmt: skip
    index = Index(journal(tmp_path, odd))
    assert len(listed(index)) == 3
    assert counted(index, "grade") == {"0": 1}
    index.close()


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_a_run_is_named(tmp_path: Path, made: bool) -> None:
    if made:
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
            connection.execute("CREATE TABLE meta(key, value)")
    with pytest.raises(JournalError, match=str(tmp_path)):
        Index(tmp_path)
