from __future__ import annotations

import pytest

from synthtutor.quality.prose import prose, sentences, words


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("So $x^2 + 1$ is odd.", ["So", "is", "odd"]),
        (r"So \(a+b\) and \[c\] and $$d$$ end.", ["So", "and", "and", "end"]),
        (r"See \begin{align}a &= b\end{align} here.", ["See", "here"]),
        ("It costs $5 and then $3 more.", ["It", "costs", "and", "then", "more"]),
        ("Run `print(x)` or ```py\nfor i in y: pass\n``` now.", ["Run", "or", "now"]),
        ("- **First** divide\n2. Then *add*\n## Last", ["First", "divide", "Then", "add", "Last"]),
        ("See https://example.org/a?b now", ["See", "now"]),
        ("这是句子，我hello了", ["这", "是", "句", "子", "我", "hello", "了"]),
        ("çünkü ٣ تفاحات", ["çünkü", "تفاحات"]),
        ("Don't re-read 12 pages, Zoë’s fine", ["Don't", "re-read", "pages", "Zoë’s", "fine"]),
    ],
)
def test_only_the_words_of_the_prose_are_left(text: str, left: list[str]) -> None:
    assert words(prose(text)) == left


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three? Four…", 4),
        ("It is 3.5 m, e.g. here, says Dr. Ada.", 1),
        ('He said "stop." Then he went.', 2),
        ("A line\nanother line\n\n", 2),
        ("...", 0),
        ("", 0),
        ("Really?! Yes.", 2),
        ("你好。你怎么想？再看看！", 3),
        ("ما هو؟ ولماذا؟", 2),
    ],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@pytest.mark.parametrize("opening", ["$ ", r"\(", "`", "```", r"\begin{align}", "$$", r"\["])
def test_an_opening_without_an_end_hides_nothing(opening: str) -> None:
    assert words(prose(f"First {opening} then the rest")).count("rest") == 1


def test_punctuation_alone_is_no_prose() -> None:
    assert words(prose("42 = 6 × 7 ✓")) == []
