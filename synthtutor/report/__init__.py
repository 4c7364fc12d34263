"""A run as a page: ``report.html``, one file without a script that opens from disk."""

from synthtutor.report.page import write_report

__all__ = ["write_report"]
