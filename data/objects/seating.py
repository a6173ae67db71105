"""Things to sit and lie on for more than one: bench, sofa, bed."""

from hoijax.data.objects.assembly import ProceduralObject, assemble
from hoijax.data.objects.solids import Surface, block, move


def _legs(width: float, depth: float, height: float, side: float, inset: float) -> list[tuple[str, Surface]]:
    """Four square legs under a slab of that width and depth."""
    x, z = width / 2 - inset, depth / 2 - inset
    leg = block((side, height, side))
    return [("leg", move(leg, (sx * x, height / 2, sz * z))) for sx in (-1, 1) for sz in (-1, 1)]


def bench(
    *, width: float = 1.2, depth: float = 0.36, height: float = 0.45, thickness: float = 0.045, leg: float = 0.06
) -> ProceduralObject:
    """A bench without a back.

    Args:
      width: of the seat, along x.
      depth: of the seat, along z.
      height: of the top of the seat.
      thickness: of the seat.
      leg: side of a leg's square section.
    """
    seat = move(block((width, thickness, depth)), (0, height - thickness / 2, 0))
    return assemble("bench", [("seat", seat), *_legs(width, depth, height - thickness + 0.005, leg, leg)])


def sofa(
    *,
    width: float = 1.7,
    depth: float = 0.85,
    seat_height: float = 0.42,
    back_height: float = 0.42,
    arm: float = 0.16,
    cushion: float = 0.14,
) -> ProceduralObject:
    """A sofa with a back and two armrests.

    Args:
      width: with the armrests, along x.
      depth: with the back, along z.
      seat_height: of the top of the cushion.
      back_height: of the back above the cushion.
      arm: width of an armrest.
      cushion: thickness of the seat cushion and of the back.
    """
    foot, back = 0.06, 0.2
    base = seat_height - cushion - foot
    inner = width - 2 * arm
    parts = [
        ("base", move(block((width, base, depth), bevel=0.02), (0, foot + base / 2, 0))),
        (
            "seat",
            move(block((inner, cushion, depth - back), bevel=0.04), (0, seat_height - cushion / 2, back / 2)),
        ),
    ]
    height = seat_height + back_height - foot - 0.01
    parts.append(
        (
            "back",
            move(block((width, height, back), bevel=0.05), (0, foot + 0.01 + height / 2, -(depth - back) / 2)),
        )
    )
    rest = seat_height + 0.2 - foot
    for side in (-1, 1):
        centre = (side * (width - arm) / 2, foot + rest / 2, back / 4)
        parts.append(("armrest", move(block((arm, rest, depth - back / 2), bevel=0.04), centre)))
    return assemble("sofa", parts + _legs(width, depth, foot + 0.005, 0.06, 0.08))


def bed(
    *, width: float = 1.0, length: float = 2.0, height: float = 0.48, mattress: float = 0.2, headboard: float = 0.4
) -> ProceduralObject:
    """A bed along z with its headboard at -z.

    Args:
      width: along x.
      length: along z.
      height: of the top of the mattress.
      mattress: thickness of the mattress.
      headboard: height of the headboard above the mattress.
    """
    frame = 0.12
    under = height - mattress
    parts = [
        (
            "mattress",
            move(block((width, mattress, length), bevel=0.04, edge=0.12), (0, height - mattress / 2, 0)),
        ),
        ("frame", move(block((width, frame, length), edge=0.12), (0, under - frame / 2 + 0.005, 0))),
    ]
    board = (width, height + headboard - 0.1, 0.04)
    parts.append(("headboard", move(block(board, edge=0.12), (0, 0.1 + board[1] / 2, -length / 2 - 0.018))))
    return assemble("bed", parts + _legs(width, length, under - frame + 0.01, 0.07, 0.06))
