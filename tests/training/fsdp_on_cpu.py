"""``synthtutor``, with accelerate told that a process group of CPUs is one that it may shard over.

    python -m torch.distributed.run --nproc-per-node=2 tests/training/fsdp_on_cpu.py train sft …

accelerate shards (FSDP) over GPUs only; torch itself shards over CPUs too, by gloo. So what a
training makes of sharded weights (adapter, checkpoints, the best ones loaded again) is tried here
without a GPU. Only what accelerate takes the machine for is changed; the sharding is torch's own.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

from synthtutor.cli.app import run

_prepared = PartialState._prepare_backend


def _as_if_gpus(self: PartialState, *given: Any, **named: Any) -> tuple[str, DistributedType]:
    backend, kind = _prepared(self, *given, **named)
    cpus = kind == DistributedType.MULTI_CPU
    return backend, DistributedType.MULTI_GPU if cpus else kind


if __name__ == "__main__":
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = _as_if_gpus
    torch.distributed.init_process_group("gloo")
    sys.exit(run(sys.argv[1:]))
