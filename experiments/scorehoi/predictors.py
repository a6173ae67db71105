"""Predictions for ScoreHOI's tables: every row's answer on a data set's pictures, as files for the harness."""

import functools
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from flax import nnx
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from hoijax.body_models import pose_body_compiled
from hoijax.data.objects import random_object
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.experiments.scorehoi.real import RealInteractions
from hoijax.experiments.scorehoi.samples import training_sample, truth_from_synth
from hoijax.experiments.scorehoi.variants import GuidanceVariant
from hoijax.geometry import Mesh, RigidPose, einsum
from hoijax.interaction import ObjectTemplate, make_template
from hoijax.io import output_directory, write_json, write_npz
from hoijax.nets.scorehoi import ScoreHOIRegressor, pose_from_points
from hoijax.optim.fields import BodyField, body_field
from hoijax.optim.gradient import RefineConfig, refine_batch
from hoijax.systems.scorehoi import (
    GuidedBody,
    compile_reconstruction,
    drop_weights,
    guided_scene,
    interaction_from_state,
    pose_hoi_state,
    state_from_estimate,
)
from hoijax.systems.scorehoi.inputs import Layout
from hoijax.systems.scorehoi.networks import Networks

RESOLUTION = 48
"""Samples of the objects' distance grids along each side."""
TRIAL_STEPS = 20
"""Gradient steps by which the time of one is measured."""


@functools.lru_cache(maxsize=512)
def template_of(category: str, seed: int) -> ObjectTemplate:
    """The template of one of SynthHOI's objects."""
    mesh = random_object(category, seed).mesh
    whole = Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))
    return make_template(whole, resolution=RESOLUTION)


class Predictor:
    """Answers batches of samples as one row of a table does.

    Args:
      networks: of one seed.
      variant: the row.
      step: Delta t where the row does not say its own.
      batch: pictures at a time.
    """

    def __init__(self, networks: Networks, variant: GuidanceVariant, step: int, batch: int):
        self.networks, self.variant, self.batch, self.step = networks, variant, batch, step
        self.warm: set[str] = set()
        """Methods whose programs are compiled."""
        full = compile_reconstruction(networks.regressor, networks.denoiser, config=variant.guidance(step))
        self.full = full.with_settings(variant.guidance(step), variant.conditions)
        graph = nnx.split(networks.regressor)[0]
        self.first = jax.jit(lambda state, *args: _first_stage(nnx.merge(graph, state), *args))
        self.field: BodyField | None = None
        self.steps: int | None = None
        """Gradient steps in as much time as the diffusion takes, once measured."""

    @classmethod
    def program(cls, variant: GuidanceVariant, step: int) -> tuple[Any, ...]:
        """Rows with equal ones share a predictor, see `show`."""
        return variant.method in ("regressor", "estimate"), drop_weights(variant.guidance(step))

    def show(self, variant: GuidanceVariant) -> None:
        """Goes on with another row of the same program."""
        self.variant = variant
        self.full = self.full.with_settings(variant.guidance(self.step), variant.conditions)

    def use(self, networks: Networks) -> None:
        """Goes on with the networks of another seed; nothing is compiled anew."""
        self.networks = networks
        self.full = self.full.with_networks(networks.regressor, networks.denoiser)

    def __call__(
        self, samples: Sequence[Mapping[str, np.ndarray]], templates: Sequence[ObjectTemplate]
    ) -> tuple[np.ndarray, RigidPose]:
        """Body vertices (B, V, 3) and object poses, camera frame, relative to the pelvis."""
        nets, method = self.networks, self.variant.method
        scene = guided_scene(list(templates))
        images, numbers = (np.stack(x) for x in zip(*((s["image"], nets.describe(s["points"])) for s in samples)))
        if method == "scorehoi":
            result = self.full(nets.body, scene, images, numbers)
            answer = result.vertices, result.object
            if self.variant.stage == "guided":
                interactions = _interactions(nets.body, result.guided.x)
                answer = pose_body_compiled(nets.model, interactions.body).vertices, interactions.object
        else:
            refined, x = self.first(nnx.state(nets.regressor), nets.body, scene, images, numbers)
            answer = refined
            if method != "regressor":
                interactions = _interactions(nets.body, x)
                params, pose = interactions.body, interactions.object
                if method == "gradient":
                    if self.steps is None:
                        self.steps = self._equal_time(params, pose, templates, (scene, images, numbers))
                    params, pose = self._by_gradient(params, pose, templates, self.steps)
                answer = pose_body_compiled(nets.model, params).vertices, pose
        return jax.tree.map(np.asarray, answer)

    def _by_gradient(
        self, params: Any, pose: RigidPose, templates: Sequence[ObjectTemplate], steps: int
    ) -> tuple[Any, RigidPose]:
        config = RefineConfig().with_steps(steps)
        if self.field is None:
            self.field = body_field(self.networks.model)
        result = refine_batch(self.networks.model, params, list(templates), pose, None, config, body=self.field)
        return jax.block_until_ready((result.params, result.pose))

    def _equal_time(
        self, params: Any, pose: RigidPose, templates: Sequence[ObjectTemplate], inputs: tuple[Any, ...]
    ) -> int:
        """So many gradient steps take as long as the whole of ScoreHOI; both are compiled before they are timed."""

        def seconds(run: Any) -> float:
            run()
            began = time.perf_counter()
            run()
            return time.perf_counter() - began

        whole = seconds(lambda: jax.block_until_ready(self.full(self.networks.body, *inputs)))
        trial = seconds(lambda: self._by_gradient(params, pose, templates, TRIAL_STEPS))
        return int(np.clip(round(TRIAL_STEPS * whole / trial), 1, 4 * RefineConfig().steps))


_interactions = jax.jit(interaction_from_state)


def _first_stage(regressor: ScoreHOIRegressor, body: GuidedBody, scene: Any, images: Any, numbers: Any) -> tuple:
    """The mesh refiner's bodies and objects from the estimates, and the estimates' states."""
    estimate = regressor.estimate(images, numbers)
    x = state_from_estimate(body, estimate)
    posed = pose_hoi_state(body, scene, x)
    contact = regressor.contacts(estimate.body.features, estimate.body.camera, posed.vertices, posed.points)
    vertices, points = regressor.refine(contact)
    refined = einsum("vk,bkc->bvc", body.up, vertices), pose_from_points(scene.points, points)
    return refined, x


@runtime_checkable
class PictureSource(Protocol):
    """Samples with pictures, by key."""

    def has(self, key: str) -> bool:
        """Whether a sample has a picture."""
        ...

    def samples(self, keys: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """As the networks take them."""
        ...

    def template(self, key: str) -> ObjectTemplate:
        """Of the object of a sample."""
        ...


class SynthPictures:
    """A split of SynthHOI."""

    def __init__(self, root: pathlib.Path, split: str, layout: Layout):
        self.source, self.layout = open_split(root, split), layout
        self.place = {self.source[i]["key"]: i for i in range(len(self.source))}

    def has(self, key: str) -> bool:
        """See `PictureSource`."""
        return key in self.place

    def samples(self, keys: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """See `PictureSource`."""
        return [training_sample(truth_from_synth(self.source[self.place[key]]), self.layout) for key in keys]

    def template(self, key: str) -> ObjectTemplate:
        """See `PictureSource`."""
        sample = self.source[self.place[key]]
        return template_of(sample["category"], int(sample["object_seed"]))


class RealPictures:
    """A split of a published data set."""

    def __init__(self, source: RealInteractions):
        self.source = source
        self.known: dict[bytes, ObjectTemplate] = {}

    def has(self, key: str) -> bool:
        """See `PictureSource`."""
        return key in self.source.items

    def samples(self, keys: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """See `PictureSource`."""
        return [self.source.sample(key) for key in keys]

    def template(self, key: str) -> ObjectTemplate:
        """See `PictureSource`."""
        mesh = self.source.template(key)
        name = np.asarray(mesh.vertices).tobytes()
        if name not in self.known:
            self.known[name] = make_template(mesh, resolution=RESOLUTION)
        return self.known[name]


def write_predictions(folder: pathlib.Path, predictor: Predictor, pictures: PictureSource, ids: Sequence[str]) -> float:
    """Predicts samples and writes `predictions.npz`, unless that is there.

    Returns:
      Pictures per second, programs compiled before, reading and cropping left out.

    Raises:
      InputError: an answer is not finite.
    """
    path, facts = folder / "predictions.npz", folder / "facts.json"
    if path.is_file() and facts.is_file():
        known = json.loads(facts.read_text())
        if known["ids"] == list(ids):
            return known["images_per_second"]
    arrays: dict[str, list[np.ndarray]] = {"vertices": [], "obj_rot": [], "obj_trans": []}
    seconds, counted = 0.0, 0
    for first in tqdm(range(0, len(ids), predictor.batch), desc=predictor.variant.name, disable=None):
        chosen = list(ids[first : first + predictor.batch])
        count = len(chosen)
        chosen += chosen[-1:] * (predictor.batch - count)
        samples = pictures.samples(chosen)
        templates = [pictures.template(key) for key in chosen]
        if predictor.variant.method not in predictor.warm:
            predictor(samples, templates)
            predictor.warm.add(predictor.variant.method)
        began = time.perf_counter()
        vertices, pose = predictor(samples, templates)
        seconds, counted = seconds + time.perf_counter() - began, counted + predictor.batch
        if not np.isfinite(vertices).all():
            raise InputError(f"row '{predictor.variant.name}': an answer is not finite; are these weights trained?")
        arrays["vertices"] += list(vertices[:count])
        arrays["obj_rot"] += list(Rotation.from_matrix(pose.rotation[:count]).as_rotvec().astype(np.float32))
        arrays["obj_trans"] += list(pose.translation[:count])
    output_directory(folder)
    write_npz(path, {name: np.stack(rows) for name, rows in arrays.items()} | {"ids": np.asarray(list(ids))})
    speed = counted / seconds
    write_json(facts, {"ids": list(ids), "images_per_second": speed, "gradient_steps": predictor.steps})
    return speed
