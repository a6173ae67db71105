"""Training samples: a true body in a scene, by index, so that runs resume; SynthHOI's as such samples."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization, struct
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.data.loading import Source
from hoijax.errors import InputError
from hoijax.experiments.graft.losses import Touch, touch_of
from hoijax.geometry import PointBlocks, RigidPose
from hoijax.systems.graft import BodySpec, GraftState, ScenePoints, apply_similarity, make_scene, normals_of_point_map
from hoijax.systems.graft.estimates import points_from_depth


@struct.dataclass
class PicturePair:
    """The two images that GRAFT's full mode looks at."""

    pair: UInt8[np.ndarray, "2 S S 3"] | Any
    """Without the people and with them, 8 bits."""
    intrinsics: Float[np.ndarray, "3 3"] | Any
    """Of these images, pixels."""


@struct.dataclass
class GraftSample:
    """A scene without its people, and one true body in it; camera frame, metres."""

    scene: ScenePoints
    truth: BodyParams
    touch: Touch | None = None
    """The scene at the vertices of a loss (`WithTouch`), or nothing."""
    pictures: PicturePair | None = None
    """For the full mode, or nothing."""


def fields_of(sample: GraftSample) -> dict[str, Any]:
    """A sample as nested dictionaries of arrays, which `hoijax.data.loading` stacks to batches."""
    fields = serialization.to_state_dict(sample)
    return {name: value for name, value in fields.items() if value is not None}


def sample_of(fields: Mapping[str, Any]) -> GraftSample:
    """The sample, or batch of samples, of such dictionaries."""
    scene, truth = fields["scene"], fields["truth"]
    blocks = PointBlocks(**scene["blocks"])
    return GraftSample(
        scene=ScenePoints(blocks=blocks, normals=scene["normals"]),
        truth=BodyParams(**truth),
        touch=Touch(**fields["touch"]) if "touch" in fields else None,
        pictures=PicturePair(**fields["pictures"]) if "pictures" in fields else None,
    )


def sample_points(sample: GraftSample) -> tuple[np.ndarray, np.ndarray]:
    """The scene's points and normals as arrays `(P, 3)`; points that fill up the last block occur twice."""
    points = np.asarray(jnp.moveaxis(jnp.asarray(sample.scene.blocks.points), 0, -1)).reshape(-1, 3)
    return points, np.asarray(sample.scene.normals).reshape(-1, 3)


class Kept:
    """A source whose samples stay in memory once they were made; for some thousands of them."""

    def __init__(self, source: Any):
        self._source, self._known = source, {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        if index not in self._known:
            self._known[index] = self._source[index]
        return self._known[index]


@dataclasses.dataclass(frozen=True)
class Some:
    """Chosen samples of a source."""

    source: Source
    chosen: Sequence[int]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:
        return self.source[self.chosen[index]]


class Mixed:
    """Two sources as one: each sample of one of them once, those of the other as often as the share wants."""

    def __init__(self, first: Any, second: Any, share: float):
        """`share` is the first's, between 0 and 1; it is met as nearly as whole repetitions allow."""
        wanted = len(first) * (1 - share) / share / len(second)
        self._first, self._second = first, second
        self._count = len(first) * max(1, round(1 / wanted))
        self._all = self._count + len(second) * max(1, round(wanted))

    def __len__(self) -> int:
        return self._all

    def __getitem__(self, index: int) -> Any:
        own = index - self._count
        return self._first[index % len(self._first)] if own < 0 else self._second[own % len(self._second)]


@dataclasses.dataclass(frozen=True)
class Thinned:
    """A source's samples with a random share of their points: users' clouds are of any density."""

    source: Source
    least: float
    """Least share that is kept; shares are drawn evenly by their logarithm."""
    seed: int = 0

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> GraftSample:
        sample = self.source[index]
        points, normals = sample_points(sample)
        rng = np.random.default_rng([self.seed, index, 2])
        count = max(1, round(len(points) * self.least ** rng.random()))
        chosen = np.sort(rng.choice(len(points), count, replace=False))
        scene = make_scene(points[chosen], normals[chosen], capacity=len(points))
        return sample.replace(scene=scene)


@dataclasses.dataclass(frozen=True)
class WithTouch:
    """A source's samples with the scene at the vertices of a model, for the loss on heights."""

    source: Source
    model: BodyModel

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> GraftSample:
        sample = self.source[index]
        vertices = np.asarray(pose_body_compiled(self.model, sample.truth).vertices)
        return sample.replace(touch=touch_of(vertices, *sample_points(sample)))


@dataclasses.dataclass(frozen=True)
class SynthScenes:
    """SynthHOI's human-scene samples (`hoijax.data.synth.open_split`, splits "scenes...")."""

    split: Source
    model: BodyModel
    spec: BodySpec
    points: int = 16384
    seed: int = 0
    pictures: int = 0
    """Side of the images for the full mode, pixels; 0: none."""

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> GraftSample:
        sample = self.split[index]
        rng = np.random.default_rng([self.seed, index])
        result = sample_from_synth(sample, self.model, self.spec, points=self.points, rng=rng)
        return result.replace(pictures=pictures_of(sample, self.pictures)) if self.pictures else result


def pictures_of(sample: Mapping[str, Any], side: int) -> PicturePair:
    """The image of one of SynthHOI's samples, without its person and with it.

    SynthHOI keeps no image without the person, and the method makes one by inpainting. Here what is around the person
    is drawn over it and blurred, which fools nobody but hides how the person looks.

    Args:
      sample: as `SynthSplit` decodes it.
      side: of the images made, pixels.
    """
    whole = np.asarray(sample["image"])
    size = len(whole)
    image = np.asarray(Image.fromarray(whole).resize((side, side), Image.Resampling.BOX))
    mask = Image.fromarray(np.asarray(sample["human_mask"]).reshape(size, size).astype(np.uint8) * 255)
    covered = ndimage.binary_dilation(np.asarray(mask.resize((side, side), Image.Resampling.BOX)) > 0, iterations=2)
    nearest = ndimage.distance_transform_edt(covered, return_distances=False, return_indices=True)
    around = ndimage.gaussian_filter(image[tuple(nearest)].astype(np.float32), (side / 40, side / 40, 0))
    erased = np.where(covered[..., None], around.astype(np.uint8), image)
    shrink = np.diag([side / size, side / size, 1.0])
    intrinsics = (shrink @ np.asarray(sample["intrinsics"], float)).astype(np.float32)
    return PicturePair(pair=np.stack([erased, image]), intrinsics=intrinsics)


def sample_from_synth(
    sample: Mapping[str, Any], model: BodyModel, spec: BodySpec, *, points: int, rng: np.random.Generator
) -> GraftSample:
    """One of SynthHOI's human-scene samples: the point map of the image without the person, and the person.

    Args:
      sample: as `SynthSplit` decodes it.
      model: the free body.
      spec: of that body.
      points: scene points kept, drawn at random where the image has more.
      rng: for that.

    Raises:
      InputError: no scene sample.
    """
    missing = [name for name in ("body", "depth_empty", "intrinsics", "T_camera_world") if name not in sample]
    if missing:
        raise InputError(f"a SynthHOI sample without {', '.join(missing)}; GRAFT wants the scene splits")
    point_map = points_from_depth(np.asarray(sample["depth_empty"]), np.asarray(sample["intrinsics"]))
    normals, kept = normals_of_point_map(point_map)
    cloud, normals = point_map[kept], normals[kept]
    if len(cloud) > points:
        chosen = rng.choice(len(cloud), points, replace=False)
        cloud, normals = cloud[chosen], normals[chosen]
    body = {name: np.asarray(value, np.float32) for name, value in sample["body"].items()}
    pose = np.asarray(sample["T_camera_world"], np.float32)
    camera = RigidPose(rotation=pose[:3, :3], translation=pose[:3, 3], scale=np.float32(1.0))
    params = BodyParams.from_axis_angle(model, **body)
    return GraftSample(scene=make_scene(cloud, normals, capacity=points), truth=in_camera(spec, params, camera))


@jax.jit
def _to_camera(spec: BodySpec, params: BodyParams, camera: RigidPose) -> BodyParams:
    return apply_similarity(spec, GraftState.of(params), camera).params


def in_camera(spec: BodySpec, params: BodyParams, camera: RigidPose) -> BodyParams:
    """The parameters of one body of the world in a camera's frame, in NumPy; `camera` maps world to camera."""
    camera = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), camera)
    return jax.tree.map(np.asarray, _to_camera(spec, params, camera))
