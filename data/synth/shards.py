"""Making the samples of a shard."""

from typing import Any

from hoijax.data.synth.attempts import find_interactions
from hoijax.data.synth.config import SynthConfig
from hoijax.data.synth.samples import interaction_sample
from hoijax.data.synth.scenes import make_scenes
from hoijax.data.synth.schema import serialize


def make_shard(config: SynthConfig, split: str, indices: range) -> tuple[list[bytes], dict[str, Any]]:
    """The samples of a shard, which depend on nothing outside of it.

    Args:
      config: what to make.
      split: of interactions or of scenes.
      indices: numbers of the samples.

    Returns:
      Records in order, and counts: per action the attempts, those accepted and the reasons of the others.
    """
    if split.startswith("scenes"):
        return make_scenes(config, split, indices)
    interactions, statistics = find_interactions(config, split, indices)
    records = [serialize(split, config.image_size, interaction_sample(config, split, interactions[i])) for i in indices]
    return records, statistics
