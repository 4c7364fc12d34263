"""The fault matrix as a table: what one row of a run meets, and what then has to be.

Each case is a run of three rows, one call each; the middle row meets the fault. The columns are
the questions: what the row gets, what the run does, what the journal holds, what is paid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from synthtutor.errors import Rejected, SynthtutorError, Unauthorized
from synthtutor.messages import Usage
from synthtutor.testing.server import Reply
from tests.faults.vendors import Vendor

__all__ = ["ALWAYS", "GOOD", "LASTING", "PASSING", "USAGE", "Case"]

ALWAYS = 1000
USAGE = Usage(100, 10)
GOOD = '{"words": "as asked", "number": 7}'
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and its row of the table.

    The middle row is answered ``fault`` the first ``times`` times it is asked. ``row`` is then
    its outcome and ``reason`` how the reason starts; None where the run ``stops`` with an error
    instead. ``asked`` is how often it was asked (at least, where ``timeout_s`` plays a part),
    never sooner than ``waits_s`` after the fault. ``journal`` is (finish, text) of each reply
    that is kept, and each of these is paid.
    """

    name: str
    fault: Callable[[Vendor], Reply]
    times: int
    row: str | None
    reason: str
    asked: int
    journal: tuple[tuple[str, str], ...]
    stops: type[SynthtutorError] | None = None
    waits_s: float = 0.0
    timeout_s: float | None = None

    def __str__(self) -> str:
        return self.name


def said(text: str | None = GOOD, **more: object) -> Reply:
    """A reply that costs the same as any other."""
    return replace(Reply(text, usage=USAGE), **more)  # type: ignore[arg-type]  # Reply's own fields


def _passes(name: str, fault: Reply, times: int = 1, **more: float) -> Case:
    """It is asked again, and nobody pays for the fault."""
    made = Case(name, lambda _: fault, times, "kept", "", times + 1, (("stop", GOOD),))
    return replace(made, **more)  # type: ignore[arg-type]  # Case's own fields


def _lasts(name: str, fault: Reply, reason: str, **more: float) -> Case:
    """Six attempts, and the row is given up unpaid."""
    made = Case(f"{name}, always", lambda _: fault, ALWAYS, "failed", reason, 6, ())
    return replace(made, **more)  # type: ignore[arg-type]  # Case's own fields


def _mended(name: str, useless: Reply, finish: str = "stop") -> Case:
    """A useless reply is paid, quoted back, and the next one is good."""
    journal = ((finish, useless.text or ""), ("stop", GOOD))
    return Case(name, lambda _: useless, 1, "kept", "", 2, journal)


def _useless(name: str, useless: Reply, reason: str, finish: str = "stop") -> Case:
    """Three useless replies are paid and kept, and the row fails."""
    journal = ((finish, useless.text or ""),) * 3
    return Case(f"{name}, always", lambda _: useless, ALWAYS, "failed", reason, 3, journal)


def _declined(name: str, reply: Reply, reason: str) -> Case:
    """A refusal is paid and kept; it is an answer, so nobody asks again."""
    journal = (("refusal", reply.text or ""),)
    return Case(name, lambda _: reply, ALWAYS, "failed", reason, 1, journal)


def _rejected(name: str, fault: Callable[[Vendor], Reply], reason: str) -> Case:
    """This request can never work: once asked, nothing paid, the run goes on."""
    return Case(name, fault, ALWAYS, "failed", reason, 1, ())


def _stops(name: str, fault: Callable[[Vendor], Reply], error: type[SynthtutorError]) -> Case:
    """No request can work: the run stops with one clear error."""
    return Case(name, fault, ALWAYS, None, "", 1, (), stops=error)


def _in_two_seconds(_: Vendor) -> Reply:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    return Reply.failure(429, "slow down", headers={"retry-after": then})


def _limited(**headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply.failure(429, "Rate limit reached", code="rate_limit_exceeded", headers=sent)


_BROKEN = said(raw=b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess')
_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_SHORT = said('{"words": "as', finish_reason="length")
_WRONG = said('{"sentences": 3}')

PASSING = (
    # too many requests: waited out for as long as the server says, and never a row's failure
    _passes("429, Retry-After in seconds", _limited(retry_after="1"), waits_s=1.0),
    _passes("429, retry-after-ms", _limited(retry_after_ms="300"), waits_s=0.3),
    replace(_passes("429, Retry-After as a date", said()), fault=_in_two_seconds, waits_s=0.9),
    replace(
        _passes("429, the wait in the vendor's own form", said(), waits_s=0.4),
        fault=lambda v: v.used_up(0.5),
    ),
    _passes("429, nothing but the status", _limited()),
    _passes("429, three times", _limited(retry_after_ms="20"), times=3, waits_s=0.02),
    # the server is ill: asked again, a bounded number of times
    _passes("500", Reply.failure(500, "internal error"), times=2),
    _passes("502 with a page", Reply(status=502, raw=_PAGE)),
    _passes("503", Reply.failure(503, "overloaded")),
    _passes("503, Retry-After", Reply.failure(503, "", headers={"retry-after": "1"}), waits_s=1.0),
    _passes("529", Reply.failure(529, "Overloaded")),
    # the line is ill
    _passes("connection closed in mid-body", said(drop=True)),
    _passes("connection reset in mid-body", said(reset=True)),
    _passes("no answer in time", said(hang=True), timeout_s=_PATIENCE_S),
    _passes("an answer that drips in too late", said(drip_s=60.0), timeout_s=_PATIENCE_S),
    replace(_passes("an answer that drips in", said(drip_s=0.5)), asked=1),
    # the server says 200 and means something else
    _passes("malformed JSON", _BROKEN),
    _passes("an empty body", said(raw=b"")),
    _passes("a page instead of JSON", said(raw=_PAGE)),
    _passes("JSON that is no reply", said(raw=b'{"ok": true}')),
    # the model says something useless
    _mended("wrong schema", _WRONG),
    _mended("empty content", said("")),
    _mended("cut by length", _SHORT, "length"),
    _useless("wrong schema", _WRONG, "unparsable: "),
    _useless("empty content", said(""), "unparsable: "),
    _useless("cut by length", _SHORT, "truncated: ", "length"),
    _declined("refusal", said(None, refusal="I cannot help with that."), "refused: "),
    _declined("content filter", said("", finish_reason="content_filter"), "refused: "),
    # the request itself
    _rejected("a prompt that is too long", lambda v: v.too_long, "rejected (context): HTTP 4"),
    _rejected("422", lambda _: Reply.failure(422, "bad field"), "rejected (request): HTTP 422"),
    # no request can work
    _stops("a key that expires in mid-run", lambda v: v.expired_key, Unauthorized),
    _stops("no money left in mid-run", lambda v: v.no_money, Unauthorized),
    _stops("a model that is gone in mid-run", lambda v: v.unknown_model, Rejected),
)

LASTING = (
    # more often than any fault is borne: rate limits alone never fail a row
    _passes("429, seven times", _limited(), times=7),
    _lasts("500", Reply.failure(500, "internal error"), "unavailable: HTTP 500"),
    _lasts("502 with a page", Reply(status=502, raw=_PAGE), "unavailable: HTTP 502"),
    _lasts("503", Reply.failure(503, "overloaded"), "unavailable: HTTP 503"),
    _lasts("529", Reply.failure(529, "Overloaded"), "unavailable: HTTP 529"),
    _lasts("connection closed in mid-body", said(drop=True), "unavailable: "),
    _lasts("connection reset in mid-body", said(reset=True), "unavailable: "),
    _lasts("malformed JSON", _BROKEN, "unavailable: "),
    _lasts("JSON that is no reply", said(raw=b'{"ok": true}'), "unavailable: "),
    _lasts("no answer in time", said(hang=True), "unavailable: ", timeout_s=_PATIENCE_S),
)
