"""The fit of token rates finds what is there, and runs on the texts that are shipped."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from synthtutor.tokens import FEATURES

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibrate_tokens.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibrate_tokens", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_rates_that_made_the_counts_are_found_again(script: ModuleType) -> None:
    chance = random.Random(3)
    true = (1.1, 0.0, 0.4, 2.5)
    rows = [[chance.uniform(1, 100) for _ in true] for _ in range(60)]
    counts = [sum(rate * amount for rate, amount in zip(true, row, strict=True)) for row in rows]
    assert script.fitted(rows, counts, [1.0] * 60) == pytest.approx(true, abs=0.01)


def test_no_rate_is_below_zero(script: ModuleType) -> None:
    rows = [[1.0, amount] for amount in (1.0, 2.0, 3.0, 4.0)]
    rates = script.fitted(rows, [9.0, 8.0, 7.0, 6.0], [1.0] * 4)
    assert min(rates) == rates[1] == 0


def test_held_out_subjects_share_no_seed_with_the_fitted(script: ModuleType) -> None:
    found = list(script.texts())
    fitted, held_out = ({text.text for text in found if text.fit is fit} for fit in (True, False))
    assert not fitted & held_out
    assert {text.kind for text in found if text.fit} == {t.kind for t in found if not t.fit}


@pytest.mark.slow
def test_o200k_is_recognised_as_itself() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT)], capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("o200k_base: "))
    rates = dict(zip(FEATURES, map(float, line.partition(": ")[2].split(", ")), strict=True))
    assert rates["o200k"] == pytest.approx(1, abs=0.01)
    assert max(rates[name] for name in ("letters", "digits", "marks", "accented")) < 0.02
