"""Students' summaries of articles, from 0 to 5 in equal parts, labelled by the traits they have.

Two calls a summary. The writer is told which traits the summary lacks, by quota of the label that
they add up to (`synthtutor.recipes.essay_traits`). The judge, who is not told, says of each trait
whether it is there; one is counted by code. The label is made of what was found and not of
what was asked for. Where the two are further apart than ``apart``, one of the models has failed,
nobody knows which, and the sample is dropped with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError
from synthtutor.judge import Judgement
from synthtutor.messages import Settings
from synthtutor.quality.labels import essay_label
from synthtutor.quality.shingles import tokens
from synthtutor.recipes.essay_traits import (
    FACTS,
    LACKS,
    LEVELS,
    MAIN_POINT,
    ON_TOPIC,
    check_tags,
    copies,
    label_of,
    profiles,
    traits_of,
)
from synthtutor.recipes.grading import OPTIONS, Answer, Terms, graded, group_of
from synthtutor.recipes.grading_rows import instruction_column, instruction_turns
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.recipes.student_work import ABILITIES
from synthtutor.session import Session
from synthtutor.sources import BadRow, Record, read_rows
from synthtutor.tutoring import Outcome, Sample

__all__ = ["ESSAY_GRADING", "Article", "Row", "article_rows", "essay_grading"]

_APART = 1
_FEWEST_WORDS = 30  # of an article: what is shorter has nothing to be summed up


@dataclass(frozen=True, slots=True)
class Article:
    """A text and, where there is one, a summary that somebody wrote of it."""

    text: str
    summary: str = ""
    id: str = ""
    source: str = "own"


@dataclass(frozen=True, slots=True)
class Row:
    """One summary to write: the label that it is meant for, and the traits that it lacks."""

    article: Article
    level: int
    lacks: tuple[str, ...]
    ability: str
    variation: int = 0


async def essay_grading(session: Session, row: Row) -> Sample:
    """One student's summary with its label by traits, or the reason why it has none."""
    terms, apart = Terms.of(session.option), _apart(session.option("apart"))
    check_tags(session.rubric)
    article = row.article
    summary = await session.generate(
        str,
        "essay_grading/summary.md.j2",
        settings=Settings(max_tokens=600, temperature=0.9),
        article=article.text,
        lacks=[LACKS[name] for name in row.lacks],
        other_topic=ON_TOPIC in row.lacks,
        ability=row.ability,
    )
    judged = await session.judge(
        summary,
        session.rubric,
        context=article.text,
        prompt="essay_grading/judged.md.j2",
    )
    traits = traits_of(judged.rubric, judged.verdicts, own_words=not copies(summary, article.text))
    label, outcome, reasons = _labelled(traits, row.level, apart)
    answer = Answer(
        input=f"Article: {article.text} Student Summary: {summary}",
        text=summary,
        reference=article.summary or article.text,
        group=group_of(article.text),
        trusted=label,
        wanted=row.level,
    )
    about = _about(row, summary, traits, judged)
    return await graded(answer, terms, essay_label, about, outcome, reasons)


def _labelled(
    traits: Mapping[str, bool | None], wanted: int, apart: int
) -> tuple[int | None, Outcome, list[str]]:
    has = {name: found for name, found in traits.items() if found is not None}
    if len(has) < len(traits):
        missing = sorted(traits.keys() - has.keys())
        return None, "undetermined", [f"trait {name} was not judged" for name in missing]
    if not has[ON_TOPIC] and (has[MAIN_POINT] or has[FACTS]):
        return None, "undetermined", ["the judge finds another topic, and the article's content"]
    label = label_of(has)
    if abs(label - wanted) > apart:
        return (
            label,
            "rejected",
            [f"disagreement: the traits found are over {apart} from those asked for"],
        )
    return label, "kept", []


def _about(
    row: Row, summary: str, traits: Mapping[str, bool | None], judged: Judgement
) -> dict[str, Any]:
    return {
        "article_id": row.article.id,
        "source": row.article.source,
        "reference_summary": row.article.summary,
        "student_summary": summary,
        "wanted": row.level,
        "lacks": list(row.lacks),
        "ability": row.ability,
        "variation": row.variation,
        "traits": dict(sorted(traits.items())),
        **judged.to_metadata(),
    }


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def article_rows(options: RowOptions) -> Rows[Row]:
    """Each article ``per_seed`` times (6), at another level each time; first all articles once.

    Raises ConfigError where there is no file, and for options that cannot be used.
    """
    Terms.of(options.options.get)
    _apart(options.options.get("apart"))
    if options.path is None:
        raise ConfigError(
            "essay-grading sums up articles: give --rows FILE (CNN/DailyMail's columns, or your own)"
        )
    return Rows(_rows(options, options.path, options.per_seed or len(LEVELS)))


def _rows(options: RowOptions, path: Path, times: int) -> Iterator[Row | BadRow]:
    levels = Coverage({"level": tuple(map(str, LEVELS))}, seed=options.seed)
    abilities = Coverage({"ability": tuple(ABILITIES)}, seed=options.seed)
    for variation in range(times):
        number = 0
        for article in _articles(path, options.options):
            if isinstance(article, BadRow):
                if variation == 0:
                    yield article
                continue
            level = int(levels.draw(number, variation)["level"])
            ways = profiles(level)
            lacks = ways[(number // len(LEVELS) + variation) % len(ways)]
            ability = abilities.draw(number // len(LEVELS), variation)["ability"]
            yield Row(article, level, lacks, ability, variation)
            number += 1


def _articles(path: Path, given: Mapping[str, str]) -> Iterator[Article | BadRow]:
    first = next((each for each in read_rows(path) if isinstance(each, Record)), None)
    column = instruction_column(first, given.get("text"))
    for record in read_rows(path):
        if isinstance(record, BadRow):
            yield record
            continue
        found = _instructed(record, column) if column else _article(record, given)
        if isinstance(found, Article) and len(tokens(found.text)) < _FEWEST_WORDS:
            found = BadRow(record.where, f"the article has fewer than {_FEWEST_WORDS} words")
        yield found


def _article(record: Record, given: Mapping[str, str]) -> Article | BadRow:
    columns = {
        "article": given.get("article", "article"),
        "summary": given.get("summary", "highlights"),
        "id": given.get("id", "id"),
    }
    values = {name: str(record.get(column) or "").strip() for name, column in columns.items()}
    if not values["article"]:
        return BadRow(
            record.where,
            f"no {columns['article']!r}; name the column with --option article=COLUMN",
        )
    return Article(values["article"], values["summary"], values["id"])


def _instructed(record: Record, column: str) -> Article | BadRow:
    """The article is what the user said, without the line before it that says what to do."""
    turns = instruction_turns(record, column)
    if isinstance(turns, BadRow):
        return turns
    first, _, rest = turns[0].partition("\n")
    text = rest if rest.strip() and first.rstrip().endswith((":", ".")) else turns[0]
    article = Article(text.strip().removeprefix("Article:").strip(), turns[1], source="instruction")
    return replace(article, id=str(record.get("id") or ""))


def _apart(value: str | None) -> int:
    if value is None:
        return _APART
    if value not in {str(level) for level in LEVELS}:
        raise ConfigError(f"option apart={value!r}: give a whole number from 0 to 5")
    return int(value)


ESSAY_GRADING: Recipe[Row] = Recipe(
    name="essay-grading",
    function=essay_grading,
    rows=article_rows,
    summary="Students' summaries of articles, each with a label from 0 to 5 by rubric traits.",
    roles=("writer", "judge"),
    rubric="essay-summary",
    chat_roles=("user", "assistant"),
    output_tokens={"essay_grading/summary.md.j2": 90},
    options={
        **OPTIONS,
        "apart": "how far the label found may be from the one asked for, 0-5 (default 1)",
        "article": "column of the article (default article)",
        "summary": "column of a reference summary, for the cosine alone (default highlights)",
        "id": "column of the article's own id (default id)",
        "text": "column of instruction rows with <start_of_turn> (default: found)",
    },
)
