"""Finding interactions: attempts are fitted in batches until every sample has one that passes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hoijax.data.synth import checks, solver
from hoijax.data.synth.checks import Checked
from hoijax.data.synth.config import SynthConfig
from hoijax.data.synth.sampling import draw
from hoijax.errors import InputError

MOST_ATTEMPTS = 60
"""Attempts after which a sample is given up and the build fails: the scripts are then broken."""


def find_interactions(
    config: SynthConfig, split: str, indices: Sequence[int]
) -> tuple[dict[int, Checked], dict[str, Any]]:
    """An accepted interaction for every index: of each sample the first attempt that passes.

    A batch holds attempts of all samples that are still open, the next one of each in turn; so it depends on the
    shard alone.
    """
    interactions: dict[int, Checked] = {}
    tried: Counter[int] = Counter()
    counts: dict[str, dict[str, Any]] = {}
    while len(interactions) < len(indices):
        still = [i for i in indices if i not in interactions]
        if max(tried[i] for i in still) >= MOST_ATTEMPTS:
            raise InputError(f"no interaction passed for samples {still[:5]} of {split} in {MOST_ATTEMPTS} attempts")
        batch = []
        for k in range(solver.BATCH):
            index = still[k % len(still)]
            if k >= len(still) and k // len(still) >= 4:
                break
            batch.append(draw(config, split, index, tried[index]))
            tried[index] += 1
        for fitted in solver.solve(batch, config.lod, config.steps):
            checked = checks.check(fitted)
            name = fitted.candidate.action.name
            row = counts.setdefault(name, {"attempts": 0, "accepted": 0, "rejected": Counter()})
            row["attempts"] += 1
            row["accepted"] += not checked.failed
            row["rejected"].update(checked.failed)
            if not checked.failed:
                interactions.setdefault(fitted.candidate.index, checked)
    return interactions, {"actions": {name: counts[name] for name in sorted(counts)}}
