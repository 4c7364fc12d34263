"""The packs that come with synthtutor, and where packs are looked for."""

import re
from pathlib import Path

import pytest

from synthtutor.defects import DEFECTS, Gold, original, plant
from synthtutor.errors import RubricError
from synthtutor.lint import lint
from synthtutor.rubric import Rubric, Verdict, builtin_packs, load_rubric

PACKS = [
    "care-and-age",
    "dialogue-arc",
    "misconception-repair",
    "socratic-turn",
    "student-realism",
    "work-feedback",
]

# For answers about personas, and the dimensions of published labels: not for tutors' replies.
OTHERS = ["bridge", "essay-summary", "k12-conversation", "mrbench", "persona-answers", "stepverify"]

GOLD = Gold(
    reply=(
        "Counting the tiles was a good idea. You have added the two side lengths instead of "
        "multiplying them. Lay out three rows of four tiles and count them. How many tiles would "
        "five rows of six need?"
    ),
    diagnosis="You have added the two side lengths instead of multiplying them.",
    check_question="How many tiles would five rows of six need?",
    check_answer="Thirty tiles, because five rows hold six tiles each.",
    false_statement="Three rows of four tiles make seven tiles.",
    endorsement="Yes, exactly: adding the two sides gives the area.",
    follow_up="So the area is 3 + 4 = 7? I just added the sides.",
    misconception="The area of a rectangle is the sum of its two sides.",
    subject="geometry",
)


@pytest.fixture(params=PACKS)
def pack(request: pytest.FixtureRequest) -> Rubric:
    return load_rubric(request.param)


def test_the_packs_that_are_promised_are_there() -> None:
    assert builtin_packs() == sorted([*PACKS, *OTHERS])


def test_a_pack_is_called_what_its_file_is_called() -> None:
    assert [load_rubric(name).id for name in PACKS] == PACKS


def test_a_pack_is_clean(pack: Rubric) -> None:
    assert [str(fault) for fault in lint(pack)] == []


def test_a_pack_is_small_and_free(pack: Rubric) -> None:
    assert 7 <= len(pack.criteria) <= 11
    assert pack.license == "MIT"


def test_the_ids_of_a_pack_share_its_initials(pack: Rubric) -> None:
    first, *_, last = pack.id.split("-")
    assert all(c.id.startswith(f"{first[0]}{last[0]}.") for c in pack.criteria)


def test_no_two_packs_share_an_id() -> None:
    ids = [c.id for name in PACKS for c in load_rubric(name).criteria]
    assert len(ids) == len(set(ids))


def test_the_documentation_counts_the_criteria_of_each_pack() -> None:
    text = (Path(__file__).parent.parent / "docs" / "rubrics.md").read_text(encoding="utf-8")
    told: dict[str, str] = {}
    for names, counts in re.findall(r"^\| (`[^|]+`) \| [^|]+\| ([\d, ;]+) \|$", text, re.MULTILINE):
        told.update(zip(re.findall(r"[\w-]+", names), counts.split("; "), strict=True))
    packs = [load_rubric(name) for name in (*PACKS, *OTHERS)]
    assert told == {
        pack.id: f"{len(pack.criteria)}, {sum(c.is_critical for c in pack.criteria)}"
        for pack in packs
    }


def test_a_code_check_never_decides_alone(pack: Rubric) -> None:
    assert not [c.id for c in pack.criteria if c.kind == "code" and c.is_critical]


def test_every_critical_fault_that_can_be_planted_is_controlled() -> None:
    controlled = {
        name for pack in PACKS for c in load_rubric(pack).controls for name in c.must_flip
    }
    assert {"mr.names-confusion", "mr.false-content", "mr.endorses-error"} <= controlled
    assert {"st.reveals-answer", "ca.shames", "sr.leaks-solution"} <= controlled
    assert {"da.unearned-understanding", "da.contradicts-solution"} <= controlled


def test_each_control_can_be_planted_and_flips_what_it_can_flip(pack: Rubric) -> None:
    for control in pack.controls:
        defect = DEFECTS[control.mutate]
        assert plant(control.mutate, GOLD) != original(control.mutate, GOLD)
        for criterion in map(pack.criterion, control.must_flip):
            assert criterion.kind == "judged"
            assert defect.adds if criterion.is_fault else defect.removes


def test_the_controls_of_a_pack_corrupt_what_the_pack_judges(pack: Rubric) -> None:
    assert {DEFECTS[c.mutate].corrupts for c in pack.controls} <= {*pack.applies_to}


def test_a_pack_is_kept_when_all_passes_and_undetermined_when_nothing_is_judged(
    pack: Rubric,
) -> None:
    perfect = {c.id: Verdict(c.id, "answered", not c.is_fault) for c in pack.criteria}
    assert pack.score(perfect).outcome == "kept"
    assert pack.score({}).outcome == "undetermined"


def test_one_critical_failure_drops_a_text(pack: Rubric) -> None:
    perfect = {c.id: Verdict(c.id, "answered", not c.is_fault) for c in pack.criteria}
    for criterion in pack.criteria:
        if criterion.is_critical:
            flipped = perfect | {
                criterion.id: Verdict(criterion.id, "answered", criterion.is_fault)
            }
            assert pack.score(flipped).outcome == "rejected"


# ── where packs are looked for ───────────────────────────────────────────────────────────────

OWN = """
pack: {id: own, version: 3, applies_to: [reply], license: MIT}
scale: binary
scoring: {keep_if: {metric: critical_rate, op: ">=", value: 1.0}, min_weighted: 0}
criteria:
  - {id: o.one, text: The reply rhymes., weight: 5, dimension: form}
"""


def install(site: Path, name: str, packs: dict[str, str], code: str) -> None:
    """A distribution as an installer leaves it: a package of YAML files and its metadata."""
    package = site / name.replace("-", "_")
    package.mkdir()
    (package / "__init__.py").write_text(code)
    for pack, text in packs.items():
        (package / f"{pack}.yaml").write_text(text)
    metadata = site / f"{package.name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[synthtutor.rubrics]\n{name} = {package.name}\n")


def test_a_built_in_pack_is_read_once() -> None:
    assert load_rubric("socratic-turn") is load_rubric("socratic-turn")


def test_a_pack_is_loaded_from_a_file_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    assert load_rubric(path).version == 3
    path.write_text(OWN.replace("version: 3", "version: 4"))
    assert load_rubric(str(path)).version == 4


def test_a_pack_of_another_distribution_is_found_without_running_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "acme-packs", {"acme-rhyme": OWN}, "raise SystemExit('my code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_rubric("acme-rhyme").version == 3
    assert "acme-rhyme" not in builtin_packs()


def test_two_distributions_with_one_name_have_to_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first-packs", "second-packs"):
        install(tmp_path, name, {"twice-offered": OWN}, "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RubricError, match="offered by first-packs and second-packs"):
        load_rubric("twice-offered")


def test_a_distribution_whose_packs_are_gone_stands_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "lost-packs", {}, "")
    (tmp_path / "lost_packs" / "__init__.py").unlink()
    (tmp_path / "lost_packs").rmdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RubricError, match="no rubric 'lost-rhyme'"):
        load_rubric("lost-rhyme")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        RubricError, match=r"no rubric 'socratic'; there are bridge, care-and-age, .*\.yaml"
    ):
        load_rubric("socratic")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RubricError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_rubric(tmp_path / "nowhere.yaml")


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(OWN.replace("rhymes", "r\xefme").encode("latin-1"))
    with pytest.raises(RubricError, match=r"latin\.yaml: is not UTF-8"):
        load_rubric(path)
