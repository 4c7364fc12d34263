"""A line of a list is read at a glance: no signs of emphasis, no half of a formula."""

from __future__ import annotations

import pytest

from synthtutor.viewer.entries import brief


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("The parts have **different sizes**: look.", "The parts have different sizes: look."),
        ("Look at `total = total + i` and *why*.", "Look at total = total + i and why."),
        ("So 3*4*5 is 60, and 2 * 3 * 4 is 24.", "So 3*4*5 is 60, and 2 * 3 * 4 is 24."),
        (r"Take $a*b*c$ and $x_1$.", r"Take $a*b*c$ and $x_1$."),
        (r"Compare with $\frac12$: since $\frac25 < …", r"Compare with $\frac12$: since …"),
        ("It costs $5, and **no", "It costs $5, and **no"),
        ("<b>**x**</b>", "<b>x</b>"),
    ],
)
def test_signs_are_left_out_and_what_was_cut_in_two(line: str, read: str) -> None:
    assert brief(line) == read
