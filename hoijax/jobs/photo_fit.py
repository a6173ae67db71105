"""Fitting photographs: the person by MediaPipe's networks and Levenberg-Marquardt, the object by its mask and mesh."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.jobs.objects import ObjectAsset, place_mesh
from hoijax.jobs.overlays import SIZE, draw_view
from hoijax.jobs.photographs import Photograph
from hoijax.nets.blaze import Person, find_people, load, person_mask
from hoijax.nets.blaze.layers import Params
from hoijax.optim.fitting import (
    BodyFit,
    Intrinsics,
    ObjectFit,
    ObjectFitConfig,
    ObjectShape,
    PreparedBody,
    choose_intrinsics,
    fit_object_compiled,
    fit_people,
    follow_outlines,
    object_scene,
    object_shape,
    object_target,
    observe_mediapipe,
    outline_target,
    prepare_body,
)
from hoijax.optim.fitting.object_target import LEAST_PIXELS, clean_mask

LARGEST = 1536
"""Longest side of the picture that the networks see, pixels; larger ones are made smaller."""
MOST_PEOPLE = 4
"""Persons that are looked for."""
_LEGS, _TRUNK = (25, 26, 27, 28), (11, 12, 23, 24)
"""Shares of the legs' and trunk's points that must be in the picture for the person to count as whole."""


@dataclasses.dataclass(frozen=True)
class PhotoFitter:
    """Everything that does not depend on the pictures."""

    model: BodyModel
    """The body that is answered."""
    surface: BodyModel
    """The same with fewer vertices, for outlines."""
    networks: dict[str, Params]
    """Weights of `nets.blaze` under "detector" and "landmarks"."""
    asset: ObjectAsset
    """The object: as it is shown, light, and its distance grid."""
    shape: ObjectShape
    """The object as the fit draws it."""
    config: ObjectFitConfig
    """How it is searched for."""
    prepared: dict[tuple[str, ...], PreparedBody] = dataclasses.field(default_factory=dict, repr=False)
    """`prepare_body` of the model, by the names of the points; filled by the first picture."""


@dataclasses.dataclass(frozen=True)
class PhotoFit:
    """One picture's answer; camera frame, metres."""

    photograph: Photograph
    """With the mask of the person that was used."""
    params: BodyParams
    vertices: np.ndarray
    """(V, 3)."""
    body: BodyFit
    object: ObjectFit
    intrinsics: np.ndarray
    """Of the whole picture."""
    box: tuple[np.ndarray, float]
    """Upper left corner (x, y) and side of the square that is drawn, pixels of the picture."""
    drawn: np.ndarray
    """(S, S, 4) uint8 with alpha."""
    overlap: dict[str, float]
    """Intersection over union of what is drawn and the masks, where nothing hides: body, object."""
    people: int
    """How many were found."""
    notes: tuple[str, ...]

    @property
    def pose(self) -> RigidPose:
        """The object's best answer."""
        return self.object.best


def make_fitter(asset: ObjectAsset, config: ObjectFitConfig) -> PhotoFitter:
    """Networks, bodies and the object made ready; on the host, once."""
    return PhotoFitter(
        model=free_body(),
        surface=free_body("light"),
        networks={name: load(name) for name in ("detector", "landmarks")},
        asset=asset,
        shape=object_shape(asset.light),
        config=config,
    )


def fit_photograph(fitter: PhotoFitter, photograph: Photograph, focal: float | None = None) -> PhotoFit:
    """Person and object of one picture.

    Args:
      fitter: of `make_fitter`.
      photograph: picture and masks; without a mask of the person the networks' own is used.
      focal: focal length, pixels; None: from the picture's EXIF entries, or else estimated.

    Raises:
      InputError: nobody is found, or the object's mask is too small.
    """
    size = photograph.image.shape[:2]
    _check_object(photograph)
    person, people = find_person(fitter.networks, photograph)
    notes = list(photograph.notes)
    if people > 1:
        notes.append(
            f"{people} people were found; the one whose mask was given, or else the most certain one, is fitted"
        )
    human = photograph.human
    if not human.any():
        human = (np.asarray(_person_mask(person, size)) > 0.5) & ~photograph.object
    photograph = dataclasses.replace(photograph, human=human)
    observation = observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=size)
    notes += _truncation(person, size)
    intrinsics = choose_intrinsics(size, focal=focal, path=photograph.path)
    notes.append(_describe_focal(intrinsics))
    prepared = _prepare(fitter, observation.names)
    fit = fit_people(prepared, observation, intrinsics)
    if human.sum() >= 64:
        target = outline_target(human, hidden=photograph.object & ~human)
        fit, _ = follow_outlines(prepared, fitter.surface, observation, intrinsics, fit, target)
    params = jax.tree.map(np.asarray, fit.params)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(params)):
        raise InputError(f"{photograph.name}: no body fits the landmarks that were found")
    matrix = np.asarray(fit.intrinsics, np.float32)
    vertices = np.asarray(pose_body_compiled(fitter.model, params).vertices)
    surface = np.asarray(pose_body_compiled(fitter.surface, params).vertices), np.asarray(fitter.surface.faces)
    aim = object_target(photograph.object, matrix, person=human)
    scene = object_scene(aim, surface)
    object_fit = jax.tree.map(np.asarray, fit_object_compiled(fitter.shape, aim, scene, fitter.config))
    low, side = view_box(photograph)
    body, mesh = (vertices, np.asarray(fitter.model.faces)), place_mesh(fitter.asset.light, object_fit.best)
    label, drawn = draw_view(body, (mesh, fitter.asset.light.faces), view_intrinsics(matrix, low, side))
    overlap = {"body": _body_overlap(label, photograph, low, side), "object": float(object_fit.overlap[0])}
    person_fit = jax.tree.map(np.asarray, fit)
    return PhotoFit(
        photograph, params, vertices, person_fit, object_fit, matrix, (low, side), drawn, overlap, people, tuple(notes)
    )


def _prepare(fitter: PhotoFitter, names: tuple[str, ...]) -> PreparedBody:
    if names not in fitter.prepared:
        fitter.prepared[names] = prepare_body(fitter.model, names)
    return fitter.prepared[names]


def _check_object(photograph: Photograph) -> None:
    """Refuses a mask of the object that is too small, before the person is fitted."""
    pixels = int(clean_mask(photograph.object).sum())
    if pixels < LEAST_PIXELS:
        raise InputError(
            f"{photograph.name}: the object's mask has {pixels} pixels; wanted are at least {LEAST_PIXELS}"
        )


def find_person(networks: dict[str, Params], photograph: Photograph) -> tuple[Person, int]:
    """The person to fit, in pixels of the whole picture, and how many were found.

    With a mask of the person the one whose landmarks it holds best, else the one of the highest score.

    Raises:
      InputError: nobody.
    """
    image, height, width = Image.fromarray(photograph.image), *photograph.image.shape[:2]
    shrink = min(1.0, LARGEST / max(height, width))
    if shrink < 1:
        image = image.resize((round(width * shrink), round(height * shrink)), Image.Resampling.BOX)
    picture = jnp.asarray(np.asarray(image), jnp.float32) / 255
    people = jax.tree.map(np.asarray, find_people(networks, picture, max_people=MOST_PEOPLE))
    scores = np.asarray(people.score)
    found = np.flatnonzero(scores > 0.5)
    if not len(found):
        raise InputError(
            f"{photograph.name}: no person is found in the picture of {width} x {height} pixels; wanted is one who "
            "can be seen, at least some 100 pixels tall; with masks of both, --method scorehoi needs no detection"
        )
    scale = np.array([width / image.width, height / image.height])
    best = found[np.argmax(scores[found])]
    if photograph.human.any():
        held = []
        for i in found:
            spots = np.floor(people.landmarks[i, :, :2] * scale).astype(int)
            inside = ((spots >= 0) & (spots < [width, height])).all(axis=1)
            column, row = spots[inside].T
            held.append(photograph.human[row, column].sum())
        if max(held) < 4:
            raise InputError(
                f"{photograph.name}: the person that is found in the picture is not where the person's mask is"
            )
        best = found[int(np.argmax(held))]
    person = jax.tree.map(lambda x: x[best], people)
    enlarge = float(scale.mean())
    region, following = (
        r.replace(centre=r.centre * enlarge, size=r.size * enlarge) for r in (person.region, person.next_region)
    )
    landmarks = person.landmarks * np.float32([*scale, enlarge])
    return person.replace(landmarks=landmarks, box=person.box * enlarge, region=region, next_region=following), len(
        found
    )


def _person_mask(person: Person, size: tuple[int, int]) -> np.ndarray:
    """The network's mask in the picture, made at a size that costs little and enlarged."""
    shrink = min(1.0, LARGEST / max(size))
    small = (max(round(size[0] * shrink), 1), max(round(size[1] * shrink), 1))
    region = person.region.replace(centre=person.region.centre * shrink, size=person.region.size * shrink)
    mask = np.asarray(person_mask(person.replace(region=region), *small), np.float32)
    return np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _truncation(person: Person, size: tuple[int, int]) -> list[str]:
    x, y = person.landmarks[:, 0], person.landmarks[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= size[1]) & (y <= size[0]) & (person.visibility >= 0.5)
    notes = []
    if not inside[list(_TRUNK)].any():
        notes.append("the person's trunk is not seen: where they are is a guess")
    if inside[list(_LEGS)].sum() < 2:
        notes.append("the person's legs are not seen: they rest")
    tall = float(np.ptp(y[inside])) if inside.any() else 0.0
    if tall < 100:
        notes.append(f"the person is {tall:.0f} pixels tall: limbs may be wrong")
    return notes


def _describe_focal(intrinsics: Intrinsics) -> str:
    pixels = f"{float(intrinsics.matrix[0, 0]):.0f} pixels"
    return {
        "given": f"focal length: {pixels}, as given",
        "exif": f"focal length: {pixels}, from the picture's EXIF entries",
        "estimated": f"focal length: nobody knows it; about the diagonal, {pixels}, so distances are guesses (--focal)",
    }[intrinsics.source]


def view_box(photograph: Photograph) -> tuple[np.ndarray, float]:
    """Upper left corner and side of a square about both masks, pixels."""
    rows, columns = (np.flatnonzero((photograph.human | photograph.object).any(axis=k)) for k in (1, 0))
    low, high = np.array([columns[0], rows[0]], float), np.array([columns[-1] + 1, rows[-1] + 1], float)
    side = 1.15 * float(max(high - low))
    return 0.5 * (low + high) - 0.5 * side, side


def view_intrinsics(matrix: np.ndarray, low: np.ndarray, side: float) -> np.ndarray:
    """Intrinsics of the drawn square."""
    zoom = SIZE / side
    shift = np.array([[zoom, 0, -low[0] * zoom], [0, zoom, -low[1] * zoom], [0, 0, 1]])
    return (shift @ matrix).astype(np.float32)


def _body_overlap(label: np.ndarray, photograph: Photograph, low: np.ndarray, side: float) -> float:
    """Of the drawn body and the person's mask, outside of the object's and inside of the picture."""
    zoom = side / SIZE
    affine = (zoom, 0.0, float(low[0]), 0.0, zoom, float(low[1]))

    def cut(mask: np.ndarray) -> np.ndarray:
        image = Image.fromarray(255 * mask.astype(np.uint8))
        return np.asarray(image.transform((SIZE, SIZE), Image.Transform.AFFINE, affine)) > 127

    human, obj, inside = cut(photograph.human), cut(photograph.object), cut(np.ones_like(photograph.human))
    known = inside & ~(obj & ~human)
    drawn = label == 0
    return float((known & drawn & human).sum() / max((known & (drawn | human)).sum(), 1))
