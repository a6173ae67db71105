"""Trains InteractVLM (Dwivedi et al. 2025): low-rank products in the decoder, the contact token, the camera gate, SAM's
mask decoder, with losses on words, on masks of rendered views and on the surface itself.

    python -m hoijax.experiments.interactvlm.train --train.out runs/vlm --weights interactvlm.safetensors \
        --vision clip_vision_l.safetensors --tokenizer published/ --body-model data/smplh --data.damon data/damon

Groups of data sets are drawn by weight for each step: contact on the body (DAMON, 3DIR, RICH), affordances (PIAD), text
(LLaVA's JSON), and SynthHOI's of either kind (`small`). SAM's image encoder and CLIP stay as they are, so embeddings of
views are kept (`--cache`). A stopped run goes on bit for bit; many devices share its batches (docs/training.md).
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import settings_of
from hoijax.experiments.common.parameters import named_leaves
from hoijax.experiments.common.placement import gather, is_first_process
from hoijax.experiments.common.runs import run
from hoijax.experiments.common.trainer import FREE, Trainer, TrainState, Variables, program_settings
from hoijax.experiments.interactvlm.data import Mixture
from hoijax.experiments.interactvlm.encoding import Encoder, batches
from hoijax.experiments.interactvlm.settings import Config
from hoijax.experiments.interactvlm.sources import DataConfig, Setting, groups
from hoijax.experiments.interactvlm.surfaces import Canvas, encoder_digest
from hoijax.experiments.interactvlm.task import ContactTask, adapted, has_flat, learning, make_network, narrowed, stream
from hoijax.experiments.interactvlm.variants import Whole, plain
from hoijax.nets import interactvlm as nets
from hoijax.nets import weights
from hoijax.nets.blocks import merge_lora
from hoijax.nets.blocks.streams import describe


def make_trainer(config: Config, start: nets.Model, body: Canvas | None, **how: Any) -> tuple[Trainer, Config]:
    """The task of a configuration and its compiled step, and the settings with what learns.

    Args:
      config: of the run.
      start: the network to begin with, without low-rank products.
      body: its views, embedded by this network; None: no contact on a body is learned.
      **how: `compiler_options` of the step.

    Raises:
      InputError: an ablation without views, but no body.
    """
    vertices, sizes = 0 if body is None else len(body.surface.lift.visible), start.config
    if has_flat(config) and not vertices:
        raise InputError("an ablation without views wants a body, and so does a weight on vertices from the token")
    shapes = describe(lambda rngs: make_network(sizes, config, vertices, rngs))
    graph, parameters, rest = nnx.split(shapes, nnx.Param, ...)
    leaves, tree = jax.tree.flatten(rest)
    config = learning(config, [name for name, _ in named_leaves(parameters)])
    task = ContactTask(
        body, graph, tuple((leaf.shape, leaf.dtype) for leaf in leaves), tree, sizes, vertices,
        program_settings(config),
    )  # fmt: skip

    def begin(seed: int) -> Variables:
        network = nnx.clone(start)
        rngs = nnx.Rngs(seed)
        if has_flat(config) and not isinstance(network, Whole):
            network = Whole.of(network, vertices, rngs)
        adapted(network, config, rngs)
        return Variables(narrowed(nnx.state(network, nnx.Param), config))

    return Trainer(task, config, initial=begin, **how), config


def train(config: Config, start: nets.Model, mixture: Mixture, encoder: Encoder, **how: Any) -> TrainState:
    """Runs a training in its folder, from its last checkpoint where there is one.

    Args:
      config: of the run.
      start: the network to begin with.
      mixture: what is learned from.
      encoder: examples to batches; its surfaces are those of this network.
      **how: `compiler_options` of the step.

    Returns:
      The last state; `finished` makes a network of it.

    Raises:
      InputError: the folder holds another run, or the surfaces were embedded by another network.
    """
    if encoder.surfaces.digest != encoder_digest(start):
        raise InputError("the surfaces' views were embedded by another image encoder than the network's")
    trainer, config = make_trainer(config, start, encoder.surfaces.body, **how)
    return run(
        trainer, config, batches(mixture, encoder, config.batch), free=FREE, title="contact",
        phase=lambda step: mixture.group(step).task,
    )  # fmt: skip


def finished(state: TrainState, sizes: nets.Config, config: Config, vertices: int = 0) -> nets.Model:
    """The network of a run, its products in its matrices, in evaluation mode and float32; a perceptron from the token
    to vertices stays where the run had no views."""
    network = describe(lambda rngs: make_network(sizes, config, vertices, rngs))
    graph, _, rest = nnx.split(network, nnx.Param, ...)
    parameters = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), gather(state.mean_variables().parameters))
    leaves = [stream(leaf.shape, leaf.dtype, jax.random.key(0)) for leaf in jax.tree.leaves(rest)]
    network = nnx.merge(graph, parameters, jax.tree.unflatten(jax.tree.structure(rest), leaves))
    if config.adapted:
        merge_lora(network)
    network.eval()
    return network if config.without == "views" else plain(network)


def save(path: pathlib.Path, network: nets.Model, facts: dict[str, Any]) -> None:
    """Writes weights that `hoijax.nets.interactvlm.load` reads."""
    if is_first_process():
        weights.save_network(path, network, {**facts, **network.config.facts(), **software()})


@dataclasses.dataclass(frozen=True)
class Command(Setting):
    """What the command line takes."""

    train: Config = dataclasses.field(default_factory=lambda: Config(out=pathlib.Path("runs/interactvlm")))
    """Settings of the training."""
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    """What is learned from."""


def main(command: Command) -> nets.Model:
    """Trains, and writes `interactvlm.safetensors` to the run's folder."""
    mixture = Mixture(groups(command.data), command.train.seed)
    start, encoder = command.open(command.train)
    state = train(command.train, start, mixture, encoder)
    body = encoder.surfaces.body
    network = finished(state, start.config, command.train, 0 if body is None else len(body.surface.lift.visible))
    save(command.train.out / "interactvlm.safetensors", network, {"training": settings_of(command)})
    return network


if __name__ == "__main__":
    run_command(main, Command)
