"""The categories by name."""

from collections.abc import Callable

from hoijax.data.objects.assembly import ProceduralObject
from hoijax.data.objects.furniture import chair, stool, table, trolley
from hoijax.data.objects.handheld import ball, bottle, box, cup, suitcase
from hoijax.data.objects.office import desk, door, keyboard, laptop, monitor
from hoijax.data.objects.seating import bed, bench, sofa
from hoijax.data.objects.sport import backpack, bat, bicycle, racket, skateboard, umbrella

CATEGORIES: dict[str, Callable[..., ProceduralObject]] = {
    maker.__name__: maker
    for maker in (
        backpack, ball, bat, bed, bench, bicycle, bottle, box, chair, cup, desk, door, keyboard, laptop, monitor,
        racket, skateboard, sofa, stool, suitcase, table, trolley, umbrella,
    )
}  # fmt: skip
"""Maker of each category; every argument is a size in metres (or an angle in radians) with a usual default."""


def make_object(category: str, **sizes: float) -> ProceduralObject:
    """Makes an object of a category.

    Args:
      category: a key of `CATEGORIES`.
      **sizes: arguments of that category's maker.

    Returns:
      The object in its canonical frame.

    Raises:
      ValueError: the category is unknown.
    """
    if category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}; there are {sorted(CATEGORIES)}")
    return CATEGORIES[category](**sizes)
