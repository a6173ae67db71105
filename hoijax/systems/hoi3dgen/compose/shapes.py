"""Which shape stands for an object's noun: a procedural category or one of the CC0 models that ship."""

import dataclasses

import numpy as np
from jaxtyping import Int

from hoijax.data.objects import random_object
from hoijax.data.objects.real import shipped
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.hoi3dgen.compose.prompt import ObjectWords
from hoijax.systems.interactanything.relations.lexicon import things

_SAME = {
    "box": "box, cardboard box, carton, parcel, package, storage box, gift box, gift, present, wooden box, crate",
    "ball": "ball, football, soccer ball, beach ball, handball, basketball, volleyball, medicine ball, exercise ball, "
            "yoga ball, gym ball, fitness ball, swiss ball, balance ball, bowling ball, balloon",
    "bottle": "bottle, water bottle, wine bottle, beer bottle, soda bottle",
    "cup": "cup, mug, coffee cup, coffee mug, tea cup, teacup",
    "chair": "chair, dining chair, kitchen chair, wooden chair, side chair, office chair, desk chair",
    "stool": "stool, bar stool, barstool, footstool, step stool, milking stool",
    "bench": "bench, park bench, pew",
    "sofa": "sofa, couch, settee, loveseat, divan",
    "bed": "bed, double bed, single bed",
    "table": "table, dining table, kitchen table, side table, coffee table, end table",
    "desk": "desk, writing desk, workbench",
    "door": "door, front door",
    "keyboard": "keyboard, computer keyboard",
    "laptop": "laptop, notebook computer",
    "monitor": "monitor, computer monitor, screen, display, television, tv, tv set, telly, flat screen",
    "suitcase": "suitcase, trolley case, luggage, cabin bag",
    "backpack": "backpack, rucksack, knapsack, schoolbag, school bag",
    "bat": "bat, baseball bat",
    "racket": "racket, tennis racket, racquet, badminton racket, squash racket",
    "umbrella": "umbrella, parasol",
    "skateboard": "skateboard, longboard",
    "bicycle": "bicycle, bike, mountain bike, road bike",
    "trolley": "trolley, cart, hand truck",
}  # fmt: skip
PROCEDURAL = {name.strip(): category for category, names in _SAME.items() for name in names.split(",")}
"""Noun to category."""
SCALED = {
    "beach ball": 1.7, "exercise ball": 2.6, "yoga ball": 2.6, "gym ball": 2.6, "fitness ball": 2.6, "swiss ball": 2.6,
    "balance ball": 2.6, "crate": 1.15, "parcel": 0.8, "gift": 0.7, "present": 0.7, "coffee table": 0.65,
    "side table": 0.65, "end table": 0.65, "footstool": 0.7, "step stool": 0.7, "milking stool": 0.7,
    "television": 1.4, "tv": 1.4, "balloon": 1.1,
}  # fmt: skip
"""Times the size of the category's usual instance; a ball has 24 cm."""
REAL = {
    "armchair": "armchair", "easy chair": "armchair", "club chair": "armchair", "lounge chair": "armchair",
    "deck chair": "chair_065", "lawn chair": "chair_065", "beach chair": "chair_065", "briefcase": "bag_106",
    "handbag": "bag_120", "purse": "bag_120", "bag": "bag_120", "dustbin": "bin_115", "bin": "bin_115",
    "trash can": "bin_115", "wastebasket": "bin_115", "milk bottle": "bottle_053", "baby bottle": "bottle_023",
    "cabinet": "cabinet_144", "drawers": "cabinet_144", "chest of drawers": "cabinet_144", "dresser": "cabinet_144",
    "bookcase": "cabinet_006", "bookshelf": "cabinet_006", "shelf": "cabinet_006", "wardrobe": "cabinet_068",
    "closet": "cabinet_068", "nightstand": "cabinet_004", "bedside table": "cabinet_004", "lamp": "lamp_015",
    "desk lamp": "lamp_015", "table lamp": "lamp_015", "lantern": "lamp_149", "plant": "plant_077",
    "potted plant": "plant_077", "houseplant": "plant_077", "rocking horse": "toy_008", "teddy bear": "toy_051",
    "teddy": "toy_051", "stuffed toy": "toy_051", "plush toy": "toy_051", "stuffed animal": "toy_051",
    "wheelbarrow": "wheelbarrow_138", "barrow": "wheelbarrow_138", "beer mug": "cup_089", "glass": "cup_032",
    "plastic cup": "cup_032", "paper cup": "cup_032", "round table": "table_027", "piano bench": "bench_159",
}  # fmt: skip
"""Noun to a shipped model, or to a kind of them."""
BALL_RADIUS = 0.12


@dataclasses.dataclass(frozen=True)
class ChosenShape:
    """The object's shape in its own frame: metres, y up, front towards +z."""

    mesh: Mesh
    labels: Int[np.ndarray, "F"]
    """Part of each face, an index into `parts`."""
    parts: tuple[str, ...]
    source: str
    """"procedural box 17" or "CC0 armchair_086"."""
    category: str


def known_nouns() -> tuple[str, ...]:
    """The nouns that have a shape."""
    return tuple(sorted({*PROCEDURAL, *REAL}))


def choose_shape(words: ObjectWords, seed: int = 0) -> ChosenShape:
    """The shape for what a prompt says of its object.

    The whole noun is looked up first, then the first of the names of the thing that the lexicon takes it for, then its
    head: a cheese box is a box.

    Args:
      words: from `read_prompt`.
      seed: which instance, where there are several.

    Raises:
      InputError: no shape for the noun; says which there are.
    """
    name = _name(words)
    if name in REAL:
        wanted = REAL[name]
        found = [s for s in shipped() if wanted in (s.name, s.kind)]
        shape = found[seed % len(found)]
        vertices, faces = np.asarray(shape.mesh.vertices, np.float64) * words.size, np.asarray(shape.mesh.faces)
        return ChosenShape(
            Mesh(vertices.astype(np.float32), faces), np.zeros(len(faces), np.int32), ("body",), f"CC0 {shape.name}",
            shape.kind,
        )  # fmt: skip
    category = PROCEDURAL[name]
    thing = random_object(category, seed)
    vertices = np.asarray(thing.mesh.vertices, np.float64)
    scale = words.size * SCALED.get(name, 1.0)
    if category == "ball":
        scale *= BALL_RADIUS / (np.ptp(vertices[:, 0]) / 2)
    mesh = Mesh((vertices * scale).astype(np.float32), np.asarray(thing.mesh.faces, np.int32))
    return ChosenShape(mesh, np.asarray(thing.part_labels), thing.part_names, f"procedural {category} {seed}", category)


def _name(words: ObjectWords) -> str:
    """The noun under which a shape is known."""
    table = {**PROCEDURAL, **REAL}
    spoken = " ".join(words.words)
    names = [spoken[i:] for i in range(len(spoken)) if i == 0 or spoken[i - 1] == " "]
    names += [words.noun] + ([words.thing.name] if words.thing is not None else [])
    head = words.noun.split()[-1].rpartition("-")[2]
    names += [head, head.removesuffix("s"), head.removesuffix("es")]
    for name in names:
        if name in table:
            return name
    for name in sorted(table, key=len, reverse=True):  # "cheesebox" is a box
        if len(name) > 2 and head.endswith(name) and head not in things():
            return name
    raise InputError(
        f"no shape ships for {words.noun!r}; there are {', '.join(known_nouns())}; with a mesh of your own use "
        "hoijax synthesize --object MESH"
    )
