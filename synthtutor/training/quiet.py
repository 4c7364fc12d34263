"""The terminal kept for what matters, while libraries load and build."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and remarks off the terminal while trainers are built."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # TRL 1.16 still uses names that transformers 5.23 is about to drop.
        warnings.filterwarnings("ignore", category=FutureWarning)
        yield
