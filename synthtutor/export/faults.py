"""What is wrong with a file, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Fault", "Ledger", "Report", "Severity", "shown"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong. ``line`` counts from 1 and is None for the file as a whole.

    ``field`` is a path inside the line (``messages[2].content``), ``rule`` a name that stays the
    same between versions. An error keeps a trainer from taking the file or spoils the training;
    a warning is valid, but probably not meant, or not read alike by every trainer.
    """

    line: int | None
    field: str
    rule: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = ", ".join(
            part for part in (f"line {self.line}" if self.line else "", self.field) if part
        )
        return f"{place or 'file'}: {self.severity}: {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Report:
    """What `validate` found: everything is counted, the first faults of each severity are kept."""

    path: str
    format: str
    size_bytes: int
    lines: int
    faulty_lines: int
    errors: int
    warnings: int
    rules: Mapping[str, int]
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return self.errors == 0


class Ledger:
    """Collects faults line by line; keeps at most ``keep`` errors and as many warnings."""

    def __init__(self, keep: int) -> None:
        self.line: int | None = None
        self.faulty_lines = 0
        self.rules: Counter[str] = Counter()
        self.counts: Counter[Severity] = Counter()
        self._keep = keep
        self._kept: list[Fault] = []
        self._last_faulty: int | None = None

    def error(self, rule: str, field: str, message: str) -> None:
        """Note an error of the current line, or of the file where ``line`` is None."""
        if self.line is not None and self.line != self._last_faulty:
            self._last_faulty = self.line
            self.faulty_lines += 1
        self._note(rule, field, message, "error")

    def warning(self, rule: str, field: str, message: str) -> None:
        """Note a warning."""
        self._note(rule, field, message, "warning")

    def report(self, path: str, format_name: str, size_bytes: int, lines: int) -> Report:
        """Everything noted, faults of the whole file first."""
        return Report(
            path=path,
            format=format_name,
            size_bytes=size_bytes,
            lines=lines,
            faulty_lines=self.faulty_lines,
            errors=self.counts["error"],
            warnings=self.counts["warning"],
            rules=dict(sorted(self.rules.items())),
            faults=tuple(sorted(self._kept, key=lambda fault: fault.line or 0)),
        )

    def _note(self, rule: str, field: str, message: str, severity: Severity) -> None:
        self.rules[rule] += 1
        self.counts[severity] += 1
        if self.counts[severity] <= self._keep:
            self._kept.append(Fault(self.line, field, rule, message, severity))


def shown(value: Any) -> str:
    """The value as a message shows it: short, on one line, and without control characters."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 70 else f"{text[:66]}…'"
