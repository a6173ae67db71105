"""Which mesh of a folder is the one in the picture: by its name, by its silhouette, by embeddings of the user's own.

Names first: the words of the label against the words of a file's path below the folder. Those that match best are drawn
over the mask in many turns, and ranked by how well they cover it. An image encoder of the user's (CLIP) ranks the same
meshes by how alike their canonical views and the picture look.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.geometry.safe import ArrayLike
from hoijax.optim.fitting import (
    Hypotheses,
    ObjectFitConfig,
    ObjectScene,
    ObjectShape,
    ObjectTarget,
    fit_object_compiled,
)

SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf", ".dae", ".3mf")
MOST = 12
"""Meshes whose silhouettes are compared at most."""
QUICK = ObjectFitConfig(
    hypotheses=Hypotheses(yaws=12, tilts=(0.0,), lying=2, free=42), kept=(6, 2), steps=(3, 5), size_std=0.3
)  # fmt: skip
"""How each mesh is laid over the mask: for a ranking, not for an answer."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A mesh and how well it fits; higher is better."""

    path: pathlib.Path
    name: float
    """Share of the label's words that its path has."""
    overlap: float = 0.0
    """Intersection over union of its silhouette with the mask, in the best turn."""
    likeness: float = 0.0
    """Cosine of embeddings, if there are any."""

    @property
    def score(self) -> float:
        """What candidates are ranked by."""
        return self.name + self.overlap + self.likeness


def label_words(label: str) -> tuple[str, ...]:
    """The words of a label, lower case, without punctuation and numbers; "tennis_racket" has two.

    Raises:
      InputError: there are none.
    """
    words = re.findall(r"[^\W\d_]+", label.lower())
    if not words:
        raise InputError(f"the label {label!r} has no word; wanted what the object is, such as chair or tennis racket")
    return tuple(words)


def _stems(text: str) -> set[str]:
    """Words without the endings of plurals."""
    return {
        re.sub(r"(?<=[sxz])es$|(?<=[cs]h)es$|(?<=[^s])s$", "", word) for word in re.findall(r"[^\W\d_]+", text.lower())
    }


def find_meshes(folder: pathlib.Path, label: str | None) -> list[Candidate]:
    """Meshes of a folder and its subfolders, those that the label names best first.

    Args:
      folder: to look in.
      label: what the object is; None: all are alike.

    Returns:
      With a label only those that have the most of its words, and at least half of them.

    Raises:
      InputError: no meshes, or none that the label names.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise InputError(f"the folder {folder} holds no meshes; wanted files ending in {', '.join(SUFFIXES)}")
    if label is None:
        return [Candidate(path, 0.0) for path in paths]
    words = _stems(" ".join(label_words(label)))
    found = []
    for path in paths:
        own = _stems(str(path.relative_to(folder).with_suffix("")))
        found.append(Candidate(path, sum(word in own for word in words) / len(words)))
    best = max(candidate.name for candidate in found)
    if best < 0.5:
        names = ", ".join(sorted({p.stem for p in paths})[:12])
        raise InputError(
            f"no mesh in {folder} is called {label!r}; there are {names}; leave --label out to try them all"
        )
    return [candidate for candidate in found if candidate.name == best]


def rank_by_silhouette(
    candidates: Sequence[Candidate], shapes: Sequence[ObjectShape], target: ObjectTarget, scene: ObjectScene
) -> list[Candidate]:
    """Candidates with their overlap, the best first.

    Args:
      candidates: which meshes.
      shapes: of `object_shape`, one each.
      target: the mask.
      scene: what the body says, or nothing.
    """
    found = []
    for candidate, shape in zip(candidates, shapes, strict=True):
        fit = fit_object_compiled(shape, target, scene, QUICK)
        found.append(dataclasses.replace(candidate, overlap=float(np.max(fit.overlap))))
    return sorted(found, key=lambda candidate: -candidate.score)


def rank_by_likeness(
    candidates: Sequence[Candidate],
    views: Sequence[Float[ArrayLike, "N S S 3"]],
    picture: Float[ArrayLike, "H W 3"],
    embed: Callable[[jax.Array | np.ndarray], ArrayLike],
) -> list[Candidate]:
    """Candidates with the best cosine of their views to the picture, the best first.

    Args:
      candidates: which meshes.
      views: canonical pictures of each in [0, 1].
      picture: the object's part of the photograph, in [0, 1].
      embed: pictures (N, H, W, 3) to embeddings (N, D).
    """
    query = _unit(np.asarray(embed(np.asarray(picture)[None])))[0]
    found = []
    for candidate, images in zip(candidates, views, strict=True):
        cosine = _unit(np.asarray(embed(images))) @ query
        found.append(dataclasses.replace(candidate, likeness=float(cosine.max())))
    return sorted(found, key=lambda candidate: -candidate.score)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
