"""Fitting photographs: the person by MediaPipe's networks and Levenberg-Marquardt, the object by its mask and mesh."""

import dataclasses

import jax
import numpy as np
from PIL import Image

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.jobs.objects import ObjectAsset, place_mesh
from hoijax.jobs.overlays import SIZE, draw_view
from hoijax.jobs.photo_objects import FrameBefore, find_object, propose_turns
from hoijax.jobs.photo_people import find_person, mask_in_picture, truncation_notes
from hoijax.jobs.photo_refine import PhotoRefiner
from hoijax.jobs.photographs import Photograph, Spot
from hoijax.jobs.videos import is_video
from hoijax.nets.blaze import Region, load
from hoijax.nets.blaze.layers import Params
from hoijax.optim.fitting import (
    BodyFit,
    Intrinsics,
    ObjectFit,
    ObjectFitConfig,
    ObjectShape,
    PreparedBody,
    choose_intrinsics,
    fit_object_ahead,
    fit_people,
    follow_outlines,
    given_intrinsics,
    object_scene,
    object_shape,
    object_target,
    observe_mediapipe,
    outline_target,
    prepare_body,
)
from hoijax.optim.fitting.box_turns import upright_turns
from hoijax.optim.fitting.object_target import LEAST_PIXELS, clean_mask
from hoijax.optim.programs import Ahead

_WHO = ("the one whose mask was given, or else the most certain one,", "the one of the frame before")
"""Who of several people is fitted: in a picture, in a frame of a video."""
UPRIGHT_COST = 0.02
"""Of `ObjectFitConfig`: a photograph's object is often a stand-in's, whose mask agrees with several turns by half."""


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
    finder: tuple[str, Params] | None = None
    """Kind of object and weights of the network that finds it where nobody says where it is, and that proposes how it
    is turned; None: none knows it."""
    prepared: dict[tuple[str, ...], PreparedBody] = dataclasses.field(default_factory=dict, repr=False)
    """`prepare_body` of the model, by the names of the points; filled by the first picture."""
    refiner: PhotoRefiner | None = None
    """What has the last word on contact and penetration; None: what was fitted is the answer."""
    searches: list[Ahead] = dataclasses.field(default_factory=list, repr=False)
    """The object's fit, one entry; the first picture begins to compile it while its person is fitted."""


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
    region: Region
    """Where the person is looked for in a video's next frame."""

    @property
    def pose(self) -> RigidPose:
        """The object's best answer."""
        return self.object.best


def make_fitter(asset: ObjectAsset, config: ObjectFitConfig, kind: str | None = None) -> PhotoFitter:
    """Networks, bodies and the object made ready; on the host, once.

    Args:
      asset: the object.
      config: how it is searched for.
      kind: of `known_kind`, which network knows the object.
    """
    return PhotoFitter(
        model=free_body(),
        surface=free_body("light"),
        networks={name: load(name) for name in ("detector", "landmarks")},
        finder=None if kind is None else (kind, load(kind)),
        asset=asset,
        shape=object_shape(asset.light),
        config=config,
        refiner=PhotoRefiner.of(free_body("light"), asset.template),
    )


def fit_photograph(
    fitter: PhotoFitter,
    photograph: Photograph,
    focal: float | None = None,
    before: FrameBefore | None = None,
    who: Spot | None = None,
) -> PhotoFit:
    """Person and object of one picture.

    Args:
      fitter: of `make_fitter`.
      photograph: picture and masks; without a mask of the person the networks' own is used, without one of the object
        it is grown from `photograph.spot`, followed from the frame before, or from the box of a chair or cup that
        `nets.blaze` finds.
      focal: focal length, pixels; None: from the picture's EXIF entries, or else estimated.
      before: of a video, where the frame before has person and object.
      who: a box about or a click on the person who is meant; None: the one in the mask, or the most certain one.

    Raises:
      InputError: nobody is found, or the object's mask is too small or cannot be grown.
    """
    size = photograph.image.shape[:2]
    photograph = dataclasses.replace(
        photograph, human=clean_mask(photograph.human), object=clean_mask(photograph.object)
    )
    grow = not photograph.object.any()
    if not grow:
        _check_object(photograph)
    person, people = find_person(fitter.networks, photograph, None if before is None else before.region, who)
    # Somebody is there, so there will be an object to fit: its program is compiled by another core meanwhile.
    search = _begin_search(fitter)
    notes = list(photograph.notes)
    if people > 1 and who is None:
        notes.append(f"{people} people were found; {_WHO[before is not None]} is fitted")
    human, probable = photograph.human, None
    if not human.any() or grow:
        probable = np.asarray(mask_in_picture(person, size))
    if grow:
        thing, told = find_object(fitter.finder, photograph, probable > 0.9, person, before)
        photograph = dataclasses.replace(photograph, object=clean_mask(thing), grown=True)
        notes += told
        _check_object(photograph)
    if not human.any():
        human = (probable > 0.5) & ~photograph.object
    photograph = dataclasses.replace(photograph, human=human)
    observation = observe_mediapipe(person.landmarks, person.visibility, person.metric, image_size=size)
    notes += truncation_notes(person, size)
    if before is not None:
        intrinsics = given_intrinsics(before.focal, size, source=before.source)
    else:
        intrinsics = choose_intrinsics(size, focal=focal, path=None if is_video(photograph.path) else photograph.path)
    notes.append(_describe_focal(intrinsics))
    prepared = _prepare(fitter, observation.names)
    fit = fit_people(prepared, observation, intrinsics, quick=True)
    outline = outline_target(human, hidden=photograph.object & ~human) if human.sum() >= 64 else None
    if outline is not None:
        fit, _ = follow_outlines(prepared, fitter.surface, observation, intrinsics, fit, outline)
    fit = jax.tree.map(np.asarray, fit)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(fit.params)):
        raise InputError(f"{photograph.name}: no body fits the landmarks that were found")
    matrix = np.asarray(fit.intrinsics, np.float32)
    surface = np.asarray(pose_body_compiled(fitter.surface, fit.params).vertices), np.asarray(fitter.surface.faces)
    aim = object_target(photograph.object, matrix, person=human, image=photograph.image)
    # What a network for its kind says of how it is turned, beside all other turns.
    more = None if fitter.finder is None else propose_turns(fitter.finder[1], photograph, matrix)
    object_fit = jax.tree.map(np.asarray, search(fitter.shape, aim, object_scene(aim, surface), more=more))
    params = fit.params
    if outline is not None and fitter.refiner is not None:
        refined = fitter.refiner.refine(observation, matrix, outline, aim, fitter.shape, fit, object_fit.best)
        params, object_fit = refined.params, with_best(object_fit, refined.pose, refined.fall)
        notes.append(refined.note)
    posed = jax.tree.map(np.asarray, pose_body_compiled(fitter.model, params))
    vertices = posed.vertices
    fit = fit.replace(params=params, joints=posed.joints)
    low, side = view_box(photograph)
    body, mesh = (vertices, np.asarray(fitter.model.faces)), place_mesh(fitter.asset.light, object_fit.best)
    label, drawn = draw_view(body, (mesh, fitter.asset.light.faces), view_intrinsics(matrix, low, side))
    overlap = {"body": body_overlap(label, photograph, low, side), "object": float(object_fit.overlap[0])}
    return PhotoFit(
        photograph, params, vertices, fit, object_fit, matrix, (low, side), drawn, overlap, people, tuple(notes),
        person.next_region,
    )  # fmt: skip


def with_best(found: ObjectFit, pose: RigidPose, fall: float) -> ObjectFit:
    """The answers with another pose in the place of the first one's, whose overlap is lower by `fall`."""
    poses = jax.tree.map(lambda old, new: np.concatenate([np.asarray(new)[None], old[1:]]), found.pose, pose)
    return found.replace(pose=poses, overlap=np.concatenate([found.overlap[:1] - fall, found.overlap[1:]]))


def _begin_search(fitter: PhotoFitter) -> Ahead:
    if not fitter.searches:
        turns = 0 if fitter.finder is None else len(upright_turns())
        fitter.searches.append(fit_object_ahead(fitter.shape, fitter.config, turns))
    return fitter.searches[0]


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


def body_overlap(label: np.ndarray, photograph: Photograph, low: np.ndarray, side: float) -> float:
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
