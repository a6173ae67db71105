"""What the frozen backbone of stage 1 sees in every picture, once for all steps of stage 2's training.

The backbone does not change while the denoiser learns, and takes far longer than it. So each picture is augmented and
looked at `passes` times before the first step, and kept as features and the state that goes with them.
"""

import pathlib
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from hoijax.data.augmentation import AugmentConfig
from hoijax.data.loading import POSITION, Loader, LoaderConfig, Source
from hoijax.experiments.common.placement import is_first_process
from hoijax.experiments.scorehoi.augmentation import augment_batch
from hoijax.experiments.scorehoi.stages import DenoiserStage
from hoijax.io import write_npz

BATCH = 32
"""Pictures at a time."""


class BackboneFeatures:
    """Samples by index: `cells` (N, F), `object_numbers`, `state`, all float32."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["state"])

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {name: value[index].astype(np.float32) for name, value in self.arrays.items()}


def load_or_encode(
    path: pathlib.Path, stage: DenoiserStage, source: Source, passes: int, seed: int, config: AugmentConfig
) -> BackboneFeatures:
    """Looks at every picture, or reads what was seen before.

    Args:
      path: where it is kept, with features as float16.
      stage: whose backbone looks.
      source: of samples with pictures.
      passes: over the source.
      seed: of the augmentation.
      config: its ranges.
    """
    if path.is_file():
        with np.load(path, allow_pickle=False) as data:
            return BackboneFeatures({name: data[name] for name in data.files})
    crop = stage.crop

    @jax.jit
    def look(key: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        batch = augment_batch(key, batch, crop, config)
        return {"cells": stage.cells(batch)} | {name: batch[name] for name in ("state", "object_numbers")}

    count = len(source)
    # Every process looks at all of them, in its own time. In order, the last batch filled up by the next pass.
    batches = Loader(source, LoaderConfig(batch_size=min(BATCH, count), shuffle=False)).batches()
    total = -(-passes * count // min(BATCH, count))
    rows: list[dict[str, Any]] = []
    for number in tqdm(range(total), desc="looking at pictures", disable=None):
        batch = {name: value for name, value in next(batches).items() if name != POSITION}
        rows.append(jax.tree.map(np.asarray, look(jax.random.fold_in(jax.random.key(seed), number), batch)))
    arrays = {name: np.concatenate([row[name] for row in rows])[: passes * count] for name in rows[0]}
    arrays["cells"] = arrays["cells"].astype(np.float16)
    if is_first_process():
        write_npz(path, arrays)
    return BackboneFeatures(arrays)
