"""Judges whose worth is known beforehand: the figures must tell them apart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import orjson
import pytest

from synthtutor.calibration.calibrate import NO_ANSWER
from synthtutor.calibration.tables import markdown
from synthtutor.errors import Rejected
from synthtutor.messages import Request
from synthtutor.provider import Capabilities
from synthtutor.rubric import load_rubric
from synthtutor.testing import ScriptedProvider
from tests.calibration.planted import (
    MRBENCH,
    ROWS,
    calibrated,
    judge_saying,
    part,
    perfect,
    row_of,
)

pytestmark = pytest.mark.slow

MEASURES = ("accuracy", "macro_f1", "kappa", "alpha")


async def test_a_judge_that_says_what_people_say_is_perfect_and_without_bias(
    tmp_path: Path,
) -> None:
    found = await calibrated(tmp_path, judge_saying(perfect), judge="scripted/gpt-4")
    assert (found.items, found.groups, found.own_writers) == (330, 40, ["GPT4"])
    for each in found.dimensions:
        assert {each.figures[name].value for name in MEASURES} == {1.0}
        assert (each.again.value, each.reversed.value) == (1.0, 1.0)
        assert each.length.value is None, "nothing is left for length to explain"
        assert each.own.value == 0
        assert {writer.leniency for writer in each.writers.values()} == {0.0}
    assert part(found, "Actionability").ordinal_alpha == 1
    assert found.groups_all_right["Actionability"].value == 1
    assert (found.place.first.value, found.place.half.value) == (0, 0)
    assert not found.warnings


async def test_a_judge_that_always_says_the_commonest_label_is_seen_through(
    tmp_path: Path,
) -> None:
    def constant(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        return {name: name == "mb.next-clear" for name in asked}

    found = await calibrated(tmp_path, judge_saying(constant))
    leaks = part(found, "Revealing_of_the_Answer")
    assert leaks.figures["accuracy"].value == pytest.approx(0.824, abs=0.0005)
    assert leaks.figures["macro_f1"].value == pytest.approx(0.301, abs=0.0005)
    assert leaks.figures["kappa"].value == 0
    assert leaks.figures["alpha"].value is not None
    assert leaks.figures["alpha"].value < 0
    for each in found.dimensions:
        for name in MEASURES:
            assert each.figures[name].value == pytest.approx(each.majority[name])
        assert any(w.startswith(f"{each.name}: macro-F1 is not surely") for w in found.warnings)


async def test_the_floors_are_those_that_others_have_computed_on_this_slice(
    tmp_path: Path,
) -> None:
    floors = {
        "Mistake_Identification": (0.815, 0.299),
        "Mistake_Location": (0.652, 0.263),
        "Revealing_of_the_Answer": (0.824, 0.301),
        "Providing_Guidance": (0.624, 0.256),
        "Actionability": (0.585, 0.246),
        "Coherence": (0.773, 0.291),
        "Tutor_Tone": (0.712, 0.277),
        "humanlikeness": (0.894, 0.315),
    }
    found = await calibrated(
        tmp_path, judge_saying(perfect), only=",".join(floors), again="0", resamples=20
    )
    for each in found.dimensions:
        floor = each.majority["accuracy"], each.majority["macro_f1"]
        assert floor == pytest.approx(floors[each.name], abs=0.0006), each.name
        assert each.majority["kappa"] == 0


async def test_a_judge_that_prefers_long_texts_is_caught(tmp_path: Path) -> None:
    middle = median(int(row["words"]) for row in ROWS)

    def wordy(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        return dict.fromkeys(asked, int(row["words"]) > middle)

    found = await calibrated(tmp_path, judge_saying(wordy), only="Actionability")
    length = part(found, "Actionability").length
    assert length.value is not None
    assert length.low is not None
    assert length.value > 0.6
    assert length.low > 0.5
    assert "Actionability: favours long texts" in found.warnings


async def test_a_judge_that_guesses_has_no_bias_that_is_sure(tmp_path: Path) -> None:
    times: Counter[str] = Counter()

    def guess(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        # By what is asked and how often it was, not by what came before: calls come in any order.
        about = f"{sorted(row.items())} {asked}"
        times[about] += 1
        chance = random.Random(f"{about} {times[about]} 3")
        return {name: chance.random() < 0.5 for name in asked}

    found = await calibrated(tmp_path, judge_saying(guess), judge="scripted/gpt-4", again="1")
    sure = []
    for each in found.dimensions:
        for bias in (each.length, each.own):
            assert bias.low is not None
            assert bias.high is not None
            sure.append(not bias.low < 0 < bias.high)
        assert each.again.value is not None
        assert each.again.value < 0.7, "asked again, it guesses again"
        assert each.figures["kappa"].value == pytest.approx(0, abs=0.1)
    assert sum(sure) <= 1, "an interval of 95 % leaves 0 out now and then, and not twice in four"
    assert found.place.first.low is not None
    assert found.place.first.high is not None
    assert found.place.first.low < 0 < found.place.first.high


async def test_a_judge_that_prefers_what_stands_first_is_caught(tmp_path: Path) -> None:
    def first(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        return {name: place == 0 for place, name in enumerate(asked)}

    found = await calibrated(tmp_path, judge_saying(first))
    assert found.place.first.value == 1
    assert found.place.half.value == 0.5
    assert found.place.again_changed.value == 0
    assert found.place.reversed_changed.value == 0.5
    assert part(found, "Actionability").again.value == 1
    assert part(found, "Actionability").reversed.value == 0


async def test_a_judge_that_spares_its_own_texts_is_caught(tmp_path: Path) -> None:
    def vain(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        fair = perfect(row, asked)
        return (
            {n: n == "mb.next-clear" or fair[n] for n in asked} if row["writer"] == "GPT4" else fair
        )

    found = await calibrated(tmp_path, judge_saying(vain), judge="scripted/gpt-4o-mini")
    each = part(found, "Actionability")
    assert each.own.low is not None
    assert each.own.low > 0.1
    assert each.writers["GPT4"].leniency > max(
        writer.leniency for name, writer in each.writers.items() if name != "GPT4"
    )
    assert "Actionability: favours its own texts" in found.warnings
    assert part(found, "Revealing_of_the_Answer").own.value == 0


async def test_a_judge_that_often_gives_no_answer_is_not_taken_to_agree(tmp_path: Path) -> None:
    def broken(request: Request) -> str:
        bad = ROWS.index(row_of(request)) % 2
        return "I would rather not say {" if bad else judge_saying(perfect)(request)

    found = await calibrated(tmp_path, broken, only="Actionability", again="1")
    each = part(found, "Actionability")
    assert (each.items, each.answered) == (330, 165)
    assert each.figures["accuracy"].value == 0.5
    assert sum(row[NO_ANSWER] for row in each.confusion.values()) == 165
    for name in MEASURES[1:]:
        value = each.figures[name].value
        assert value is not None
        assert value < 0.7
    assert each.answered_only["kappa"] == 1
    assert each.again.value == 1, "no answer twice is no label twice"
    assert "Actionability: 165 of 330 not answered" in found.warnings
    assert NO_ANSWER in markdown(found)


async def test_a_question_that_the_endpoint_declines_is_no_answer_and_stops_nothing(
    tmp_path: Path,
) -> None:
    def choosy(request: Request) -> str | Exception:
        if ROWS.index(row_of(request)) == 7:
            return Rejected("too long", reason="context")
        return judge_saying(perfect)(request)

    found = await calibrated(tmp_path, choosy, count=20, again="0")
    assert (found.items, found.failed) == (20, 0)
    assert [each.answered for each in found.dimensions] == [19, 19]


async def test_the_second_question_is_the_first_word_for_word_with_another_seed(
    tmp_path: Path,
) -> None:
    provider = ScriptedProvider(
        judge_saying(perfect), capabilities=Capabilities(free=True, seed=True)
    )
    await calibrated(tmp_path, None, count=3, again="1", provider=provider)  # type: ignore[arg-type]
    by_text: dict[str, list[Request]] = {}
    for request in provider.requests:
        by_text.setdefault(row_of(request)["text"], []).append(request)
    for first, again, turned in by_text.values():
        assert first.messages == again.messages != turned.messages
        assert first.settings.seed != again.settings.seed
        assert first.schema is not None
        assert turned.schema is not None
        asked = list(first.schema.definition["properties"])
        assert list(turned.schema.definition["properties"]) == asked[::-1]


async def test_the_same_run_again_pays_for_nothing_and_finds_the_same(tmp_path: Path) -> None:
    provider = ScriptedProvider(judge_saying(perfect), capabilities=Capabilities(free=True))
    first = await calibrated(tmp_path, None, count=30, provider=provider)  # type: ignore[arg-type]
    calls = provider.calls
    again = await calibrated(tmp_path, None, count=30, provider=provider)  # type: ignore[arg-type]
    assert provider.calls == calls
    assert again == first
    assert 30 < calls < 90, "a share of the items is asked three times"
    more = await calibrated(tmp_path, None, count=40, provider=provider)  # type: ignore[arg-type]
    assert more.items == 40
    assert calls + 10 <= provider.calls <= calls + 30


async def test_no_labelled_text_gets_into_a_training_file(tmp_path: Path) -> None:
    await calibrated(tmp_path, judge_saying(perfect), count=5)
    run = tmp_path / "run"
    assert not (run / "finetune.jsonl").read_bytes()
    rejected = [orjson.loads(row) for row in (run / "rejected.jsonl").read_bytes().splitlines()]
    assert len(rejected) == 5
    assert all(sample["messages"] == [] for sample in rejected)


async def test_each_dimension_can_be_asked_apart(tmp_path: Path) -> None:
    provider = ScriptedProvider(judge_saying(perfect), capabilities=Capabilities(free=True))
    found = await calibrated(tmp_path, None, count=4, again="0", provider=provider, mode="apart")  # type: ignore[arg-type]
    assert provider.calls == 8
    assert all(each.figures["accuracy"].value == 1 for each in found.dimensions)
    assert max(len(r.schema.definition["properties"]) for r in provider.requests if r.schema) == 2


async def test_a_question_of_one_statement_has_no_order_to_reverse(tmp_path: Path) -> None:
    chance = random.Random(5)

    def guess(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
        return {name: chance.random() < 0.5 for name in asked}

    found = await calibrated(
        tmp_path,
        judge_saying(guess),
        rubric=load_rubric("socratic-turn"),
        only="st.one-ask",
        labels="st.one-ask=Actionability",
        again="1",
    )
    (each,) = found.dimensions
    assert each.asked_again == 330
    assert each.reversed.value is None
    assert found.place.items == 0


def test_the_pack_asks_for_each_of_the_eight_dimensions() -> None:
    assert {criterion.dimension for criterion in MRBENCH.criteria} == {*list(ROWS[0])[3:11]}
