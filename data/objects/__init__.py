"""Procedural objects of real size with labelled parts, made by us and free to use for anything."""

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.catalogue import CATEGORIES, make_object
from hoijax.data.objects.furnished import real_numbers, real_object
from hoijax.data.objects.instances import RANGES, random_object

__all__ = [
    "CATEGORIES", "RANGES", "ProceduralObject", "assemble", "make_object", "random_object", "real_numbers",
    "real_object",
]  # fmt: skip
