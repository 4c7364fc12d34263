"""The pages: what each address shows. They run in threads, for SQLite and the disk make them wait."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

import jinja2
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from synthtutor.counts import counted, money
from synthtutor.errors import ConfigError
from synthtutor.markup import rendered, shown, visible
from synthtutor.ratings import Rating
from synthtutor.viewer import comparing, queries
from synthtutor.viewer.details import Details, details
from synthtutor.viewer.entries import brief
from synthtutor.viewer.forms import FORM, fields_of, here, rating_of
from synthtutor.viewer.people import agreement
from synthtutor.viewer.queries import Line, Query
from synthtutor.viewer.runs import Run

__all__ = ["Pages"]

_LARGEST_BODY = 1 << 20
_COOKIE = "synthtutor-rater"
_MARKS = {"kept": "✓", "rejected": "✕", "undetermined": "?", "failed": "!"}


@dataclass
class Pages:
    """What the addresses of the site show. ``rater`` is who rates, until somebody gives a name."""

    runs: Sequence[Run]
    rater: str
    _figures: dict[tuple[object, ...], comparing.Figures] = field(default_factory=dict)
    _key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    # ── lists ────────────────────────────────────────────────────────────────────────────────

    def home(self, request: Request) -> Response:
        """The runs; where there is one, its samples."""
        if len(self.runs) == 1:
            return RedirectResponse("/run/0", 303)
        found = []
        for run in self.runs:
            _, left = run.index.refresh()
            with run.index.reading() as connection:
                kinds = queries.kinds(connection)
                outcomes = dict(queries.facets(connection, Query(), {}).values.get("outcome", ()))
            made, controls = kinds.get("sample", 0), kinds.get("control", 0)
            found.append((run, made, controls, left, outcomes, run.about))
        return self._page(request, "home.html", found=found)

    def samples(self, request: Request) -> Response:
        """A page of a run's samples, filtered and ordered as the address says."""
        run, query = self._run(request), Query.of(request.query_params.multi_items())
        samples, left = run.index.refresh()
        people = run.groups(samples)
        after, before = (request.query_params.get(name, "") for name in ("after", "before"))
        with run.index.reading() as connection:
            lines, more = queries.page(connection, query, people, after=after, before=before)
            counts = queries.facets(connection, query, people)
        return self._page(
            request,
            "samples.html",
            run=run,
            query=query,
            lines=lines,
            counts=counts,
            samples=samples,
            left=left,
            people={name: len(found) for name, found in people.items()},
            reviews={line.id: run.ratings.review(line.id) for line in lines},
            earlier=_link(query, lines, "before") if (more if before else after) else "",
            later=_link(query, lines, "after") if (before or more) else "",
        )

    def state(self, request: Request) -> Response:
        """How many samples the index holds and how many are still to come, as JSON."""
        samples, left = self._run(request).index.refresh()
        return JSONResponse({"samples": samples, "left": left})

    # ── one sample ───────────────────────────────────────────────────────────────────────────

    def sample(self, request: Request) -> Response:
        """A sample in full, with the one before and after it in the list that it was opened from."""
        run, query = self._run(request), Query.of(request.query_params.multi_items())
        found = self._sample(run, request)
        people = run.groups(run.index.refresh()[0])
        with run.index.reading() as connection:
            row = connection.execute(
                "SELECT doc, sample, position, outcome, kind, score, cost, tags, title, reply, reason "
                "FROM entry WHERE sample = ?",
                (bytes.fromhex(found.id),),
            ).fetchone()
            line = Line(*row) if row else None
            beside = [
                line and queries.neighbour(connection, query, people, line, back=back)
                for back in (True, False)
            ]
        who = self._rater(request)
        raters = run.ratings.raters_of(found.id)
        return self._page(
            request,
            "sample.html",
            run=run,
            query=query,
            sample=found,
            earlier=beside[0],
            later=beside[1],
            mine=raters.get(who) or Rating(found.id, who),
            others=[rating for name, rating in sorted(raters.items()) if name != who],
            review=run.ratings.review(found.id),
            elsewhere=[r for r in self.runs if r is not run and r.has(bytes.fromhex(found.id))],
            saved="saved" in request.query_params,
        )

    async def rate(self, request: Request) -> Response:
        """Take a rating, durably, and say what now counts; to a form, by showing the sample again."""
        if _is_form(request):
            return await run_in_threadpool(self._rate_by_form, request, await self._fields(request))
        return await run_in_threadpool(self._rate, request, await _json(request))

    def _rate_by_form(self, request: Request, fields: Mapping[str, str]) -> Response:
        run = self._run(request)
        sample = self._sample(run, request)
        try:
            run.rate(sample, self._rater(request), rating_of(fields, sample))
        except (ValueError, ConfigError) as error:
            status = 400 if isinstance(error, ValueError) else 507
            raise HTTPException(status, f"not saved: {error}") from error
        query = Query.of(request.query_params.multi_items())
        return RedirectResponse(
            f"/run/{run.number}/sample/{sample.id}?{query.address(saved=1)}", 303
        )

    def _rate(self, request: Request, given: dict[str, Any]) -> Response:
        run = self._run(request)
        try:
            rating = run.rate(self._sample(run, request), self._rater(request), given)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, 507)
        review = run.ratings.review(rating.sample)
        together = review and (review.undecided or review.decision)
        return JSONResponse({"decision": rating.decision, "together": together})

    async def rename(self, request: Request) -> Response:
        """Another rater sits down at this browser."""
        form = _is_form(request)
        given = await (self._fields(request) if form else _json(request))
        name = str(given.get("rater", "")).strip()
        try:
            Rating("0" * 32, name)
        except ValueError as error:
            if form:
                raise HTTPException(400, str(error)) from error
            return JSONResponse({"error": str(error)}, 400)
        answer: Response = JSONResponse({"rater": name})
        if form:
            answer = RedirectResponse(here(str(given.get("back", "/"))), 303)
        answer.set_cookie(_COOKIE, quote(name), httponly=True, samesite="strict", max_age=86_400)
        return answer

    # ── people, and two runs ─────────────────────────────────────────────────────────────────

    def people(self, request: Request) -> Response:
        """How far the raters agree with one another and with the judge."""
        run = self._run(request)
        run.index.refresh()
        run.ratings.refresh()
        with run.index.reading() as connection:
            found = agreement(run.ratings, connection)
        return self._page(request, "people.html", run=run, found=found)

    def compare(self, request: Request) -> Response:
        """The rows that two runs share, line by line."""
        a, b = self._pair(request)
        asked = request.query_params.get("difference", "")
        after = request.query_params.get("after", "0")
        state = (a.number, b.number, a.index.refresh(), b.index.refresh())
        with comparing.side_by_side(a.index.path, b.index.path) as connection:
            lines, more = comparing.both(
                connection, asked, int(after) if after.isdecimal() and len(after) < 19 else 0
            )
            if state not in self._figures:
                self._figures = {state: comparing.figures(connection)}
        return self._page(
            request,
            "compare.html",
            a=a,
            b=b,
            lines=lines,
            more=more,
            asked=asked if asked in comparing.DIFFERENCES else "",
            differences=comparing.DIFFERENCES,
            figures=self._figures[state],
        )

    def compare_sample(self, request: Request) -> Response:
        """One row as it came out in two runs."""
        a, b = self._pair(request)
        sides = [(run, self._sample(run, request)) for run in (a, b)]
        return self._page(request, "compare_sample.html", a=a, b=b, sides=sides)

    def failed(self, request: Request, error: Exception) -> Response:
        """What went wrong, in one line."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        says = error.detail if isinstance(error, HTTPException) else str(error)
        return self._page(request, "error.html", status=status, says=says)

    # ── what they share ──────────────────────────────────────────────────────────────────────

    def _run(self, request: Request) -> Run:
        return self._numbered(request.path_params["run"])

    def _numbered(self, number: int) -> Run:
        if number >= len(self.runs):
            raise HTTPException(404, f"there is no run {number} here")
        return self.runs[number]

    def _pair(self, request: Request) -> tuple[Run, Run]:
        given = [
            request.query_params.get(name, default) for name, default in (("a", "0"), ("b", "1"))
        ]
        if (
            not all(number.isdecimal() and len(number) < 5 for number in given)
            or given[0] == given[1]
        ):
            raise HTTPException(404, "give two runs: /compare?a=0&b=1")
        return self._numbered(int(given[0])), self._numbered(int(given[1]))

    def _sample(self, run: Run, request: Request) -> Details:
        name = request.path_params["sample"]
        try:
            number = bytes.fromhex(name)
        except ValueError:
            raise HTTPException(404, f"{name!r} is not the id of a sample") from None
        with run.index.source() as source:
            found = details(source, number)
        if found is None:
            raise HTTPException(404, f"run {run.name} has no sample {name}")
        return found

    def _rater(self, request: Request) -> str:
        name = unquote(request.cookies.get(_COOKIE, "")).strip()
        return name if 0 < len(name) <= 80 else self.rater

    async def _fields(self, request: Request) -> dict[str, str]:
        """The fields of a form of ours: other pages can send one as well, but do not know the key."""
        try:
            fields = fields_of(await _body(request))
        except ValueError:
            raise HTTPException(400, "a form of these pages, please") from None
        if not secrets.compare_digest(fields.pop("key", "").encode(), self._key.encode()):
            raise HTTPException(403, "only this page may change anything: load it again")
        return fields

    def _page(
        self, request: Request, name: str, *, status: int = 200, **values: object
    ) -> Response:
        shared = {
            "runs": self.runs,
            "rater": self._rater(request),
            "marks": _MARKS,
            "key": self._key,
            "back": str(request.url.replace(scheme="", netloc="")),
        }
        text = _templates().get_template(name).render(**shared, **values)
        return HTMLResponse(text, status)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip() == FORM


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _LARGEST_BODY:
            raise HTTPException(413, "too much at once")
    return bytes(data)


async def _json(request: Request) -> dict[str, Any]:
    try:
        given = orjson.loads(await _body(request))
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise HTTPException(400, "an object in JSON, please")
    return given


def _link(query: Query, lines: Sequence[Line], way: str) -> str:
    if not lines:
        return ""
    return query.address(**{way: queries.key_of(query, lines[0 if way == "before" else -1])})


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("synthtutor.viewer"),
        autoescape=True,  # everywhere: what is shown was written by models
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "shown": shown,
        "brief": lambda text: shown(brief(text)),
        "rendered": rendered,
        "visible": visible,
        "money": _money,
        "share": lambda value: "–" if value is None else f"{value:.0%}",
        "two": lambda value: "–" if value is None else f"{value:.2f}",
        "count": lambda value: f"{value:,}",
        "counted": counted,
    }
    made.filters.update(filters)
    made.globals.update(ORDERS=queries.ORDERS, PEOPLE=queries.PEOPLE, COUNTED=queries.COUNTED)
    return made


def _money(value: float | None) -> str:
    return "unknown price" if value is None else money(value)
