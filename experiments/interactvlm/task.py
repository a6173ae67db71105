"""What InteractVLM's training learns: words, masks of views, contact on surfaces."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct
from jaxtyping import Float

from hoijax.experiments.common.parameters import LORA, named_leaves
from hoijax.experiments.common.trainer import COMPILE_FAST, Variables
from hoijax.experiments.interactvlm.data import Task
from hoijax.experiments.interactvlm.encoding import ContactBatch
from hoijax.experiments.interactvlm.settings import LIFTS, Config
from hoijax.experiments.interactvlm.surfaces import Canvas, true_masks
from hoijax.experiments.interactvlm.variants import Whole, flat_logits, flat_loss, images_alone, predict_flat
from hoijax.interaction import affordance_loss, mask_dice_loss, mask_focal_loss, vertex_contact_loss
from hoijax.nets import interactvlm as nets
from hoijax.nets import sam
from hoijax.nets.interactvlm import HUMAN, OBJECT
from hoijax.nets.interactvlm.training import patterns
from hoijax.systems.interactvlm import lift_masks
from hoijax.systems.interactvlm.system import localise

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class ContactTask:
    """What a configuration learns (`hoijax.experiments.common.trainer.Task`); the phase is the batch's task."""

    body: Canvas | None
    """Of the body."""
    graph: nnx.GraphDef = struct.field(pytree_node=False)
    """The network's structure."""
    rest: tuple[Any, ...] = struct.field(pytree_node=False)
    """Shapes and types of what is no parameter, the streams of dropout."""
    tree: Any = struct.field(pytree_node=False)
    """Their structure."""
    sizes: nets.Config = struct.field(pytree_node=False)
    """The network's."""
    vertices: int = struct.field(pytree_node=False)
    """Of the body."""
    config: Config = struct.field(pytree_node=False)
    """The run's, without the settings that change no program."""

    def initial(self, seed: int) -> Variables:
        """Random weights."""

        def make() -> nnx.State:
            return nnx.state(make_network(self.sizes, self.config, self.vertices, nnx.Rngs(seed)), nnx.Param)

        return Variables(narrowed(jax.jit(make, compiler_options=COMPILE_FAST)(), self.config))

    def optimiser(self) -> optax.GradientTransformation:
        """AdamW; the rate rises, then falls to nothing."""
        config = self.config
        rise = optax.linear_schedule(0.0, config.rate, config.warmup)
        fall = optax.linear_schedule(config.rate, 0.0, max(config.steps - config.warmup, 1))
        rate = optax.join_schedules([rise, fall], [config.warmup])
        return optax.chain(optax.clip_by_global_norm(config.clip), optax.adamw(rate, b1=0.9, b2=0.95, weight_decay=0.0))

    def examples(self, batch: ContactBatch, key: jax.Array) -> ContactBatch:
        """The batch itself: templates are drawn on the host."""
        return batch

    def network(self, parameters: Any, key: jax.Array | None) -> nets.Model:
        """The network with its parameters in the type of the arithmetic; dropout by the key, none without."""
        kind = jnp.dtype(self.config.compute)
        parameters = jax.tree.map(lambda w: w.astype(kind), parameters)
        keys = iter(jax.random.split(jax.random.key(0) if key is None else key, max(len(self.rest), 1)))
        leaves = [stream(shape, dtype, next(keys)) for shape, dtype in self.rest]
        network = nnx.merge(self.graph, parameters, jax.tree.unflatten(self.tree, leaves))
        network.train() if key is not None and self.config.dropout else network.eval()
        return network

    def loss(
        self, variables: Variables, examples: ContactBatch, key: jax.Array, phase: Task
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], None]]:
        """The weighted sum of all terms, and each of them."""
        config = self.config
        network = self.network(variables.parameters, key)
        kind = jnp.dtype(config.compute)
        patches = network.see(jnp.asarray(examples.images).astype(kind))
        if config.without == "language" and phase != "vqa":
            contact, text = images_alone(network, patches, phase), jnp.zeros((), jnp.float32)
        else:
            states, labels, contact = network.read(patches, examples.prompts, remat=config.remat)
            text = nets.next_token_loss(network.language.logits(states), labels).astype(jnp.float32)
        terms = {"text": text}
        if phase != "vqa":
            terms |= self._contact_terms(network, contact, examples, phase)
        weight = dataclasses.asdict(config.weights)
        return sum(weight[name] * value for name, value in terms.items()), (terms, None)

    def _contact_terms(
        self, network: nets.Model, contact: nets.Contact, batch: ContactBatch, task: Task
    ) -> dict[str, jax.Array]:
        """Mean terms on masks and vertices of the samples that have a contact token."""
        target, found = jnp.asarray(batch.contact, jnp.float32), contact.found.astype(jnp.float32)
        flat: dict[str, jax.Array] = {}
        if self.config.weights.flat and task == "human":
            flat["flat"] = _mean(flat_loss(flat_logits(network, contact), target), found)
        if self.config.without == "views":
            lifted = predict_flat(network, contact)
            return flat | {"surface": _mean(jax.vmap(vertex_contact_loss)(lifted, target), found)}
        each, kind = task != "human", HUMAN if task == "human" else OBJECT
        canvas = batch.canvas if each else self.body
        logits = localise(network, contact, canvas.surface, kind, each=each).astype(jnp.float32)
        return flat | mask_terms(self.config, logits, canvas, target, found, task)


def mask_terms(
    config: Config,
    logits: Float[jax.Array, "B N M M"],
    canvas: Canvas,
    target: Float[jax.Array, "B V"],
    found: Float[jax.Array, "B"],
    task: Task,
) -> dict[str, jax.Array]:
    """Mean terms on masks and on the surface.

    Args:
      config: where and how masks are compared.
      logits: of the masks.
      canvas: the body; of other tasks one for each sample.
      target: true contact of vertices, or likelihoods of points.
      found: 1 for samples that count.
      task: which.
    """
    each, soft = task != "human", task == "affordance"
    over = 0 if each else None
    masks = jax.vmap(lambda c, t: true_masks(c, t, min_vertices=config.min_vertices, soft=soft), (over, 0))(
        canvas, target
    )
    shown = jnp.asarray(canvas.face_id) >= 0
    shown = jnp.broadcast_to(shown if config.valid else jnp.ones_like(shown), masks.shape)
    if config.loss_at == "masks":
        masks, shown = _averaged(masks, shown, logits.shape[-1])
        compared = logits
    else:
        compared = sam.enlarge(logits, *masks.shape[-2:])
    terms = {
        "focal": _mean(jax.vmap(mask_focal_loss)(compared, masks, shown), found),
        "dice": _mean(jax.vmap(mask_dice_loss)(compared, masks, shown), found),
    }
    if soft:
        terms["heat"] = _mean(jax.vmap(_heat_loss)(compared, masks, shown), found)
    operator = canvas.surface.lift
    lifted = lift_masks(logits, operator, LIFTS[task], each=each)
    visible = jnp.broadcast_to(jnp.asarray(operator.visible), lifted.shape)
    values = jax.vmap(affordance_loss if soft else vertex_contact_loss)(lifted, target, visible)
    if task == "object":  # a lift that kept no pixel says nothing
        values = jnp.where(jnp.sum(lifted, axis=1) > 0, values, 0.0)
    return terms | {"surface": _mean(values, found)}


def _mean(values: jax.Array, found: jax.Array) -> jax.Array:
    """Over the samples that count."""
    return jnp.sum(values * found) / jnp.maximum(jnp.sum(found), 1.0)


def _averaged(masks: jax.Array, shown: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """True masks as means over the pixels that show the surface, at another size, and where there are any."""
    count = masks.shape[-1] // size
    blocks = (*masks.shape[:-2], size, count, size, count)
    weight = shown.astype(masks.dtype).reshape(blocks)
    total = jnp.sum(weight, axis=(-3, -1))
    mean = jnp.sum(masks.reshape(blocks) * weight, axis=(-3, -1)) / jnp.maximum(total, 1.0)
    return mean, total > 0


def _heat_loss(logits: jax.Array, target: jax.Array, shown: jax.Array) -> jax.Array:
    """Per view the mean squared difference over the pixels that count, then the mean over views."""
    weight = shown.astype(logits.dtype)
    square = weight * jnp.square(jax.nn.sigmoid(logits) - target)
    return jnp.mean(jnp.sum(square, axis=(-2, -1)) / jnp.maximum(jnp.sum(weight, axis=(-2, -1)), 1.0))


def stream(shape: tuple[int, ...], dtype: Any, key: jax.Array) -> jax.Array:
    """A stream's key, or its count."""
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return jax.random.split(key, shape) if shape else key
    return jnp.zeros(shape, dtype)


def make_network(sizes: nets.Config, config: Config, vertices: int, rngs: nnx.Rngs) -> nets.Model:
    """The network that learns, with products where there are some."""
    network = Whole(sizes, vertices, rngs) if has_flat(config) else nets.Model(sizes, rngs)
    adapted(network, config, rngs)
    return network


def has_flat(config: Config) -> bool:
    """Whether the network has a perceptron from the token to vertices."""
    return config.without == "views" or config.weights.flat > 0


def adapted(network: nets.Model, config: Config, rngs: nnx.Rngs) -> None:
    """Adds the low-rank products of a configuration in place."""
    if config.adapted:
        nets.adapt(
            network, rngs, where=config.adapted, rank=config.rank, alpha=config.alpha, dropout=config.dropout
        )  # fmt: skip


def learning(config: Config, names: Sequence[str]) -> Config:
    """The settings with what learns of a network whose parameters have these names."""
    wanted = ((LORA,) if config.adapted else ()) + patterns() + config.more + ("^flat\\.",)
    only = tuple(pattern for pattern in wanted if any(re.search(pattern, name) for name in names))
    return dataclasses.replace(config, trainable=dataclasses.replace(config.trainable, only=only))


def narrowed(parameters: Any, config: Config) -> Any:
    """Parameters that stay, in the type of the arithmetic: they need no more bits."""
    kind = jnp.dtype(config.compute)
    trained = learning(config, [name for name, _ in named_leaves(parameters)]).trainable
    leaves, structure = jax.tree.flatten(parameters)
    names = [name for name, _ in named_leaves(parameters)]
    kept = [leaf if trained.learns(name) else leaf.astype(kind) for name, leaf in zip(names, leaves, strict=True)]
    return structure.unflatten(kept)
