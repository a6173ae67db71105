"""The rows of the rendering benchmark as text."""

from typing import Any

from hoijax.experiments.common.pages import heading, page, spread, table

MEMORY = {
    "hard": (8, 190),
    "interpolate": (9, 270),
    "interpolate+gradient": (9, 470),
    "antialias": (28, 430),
    "antialias+gradient": (36, 670),
    "soft": (4, 200),
    "soft+gradient": (12, 500),
}
"""Bytes per pixel and per face, of each picture, that bound the memory beside inputs and outputs (RGB, CPU); 1 MB
more."""


def report(row: dict[str, Any]) -> str:
    """A case for the terminal."""
    lines = [
        f"{row['faces']} faces, {row['size']}^2, {row['views']} view(s), {row['covered']:.1%} covered, "
        f"{row['clean_rounds']} of {row['rounds']} rounds clean"
    ]
    for name, values in row["operations"].items():
        first = f"first call {values['first_call_s']:5.2f} s" if "first_call_s" in values else " " * 18
        memory = f"{values['temp_mb']:8.1f} MB" if values.get("temp_mb") is not None else ""
        lines.append(
            f"  {name:30s} median {values['median_ms']:9.2f} ms  min {values['min_ms']:9.2f} ms  {first} {memory}"
        )
    return "\n".join(lines + [f"  {name:28s} {spread(ratio)}" for name, ratio in row["ratios"].items()])


def markdown(rows: list[dict[str, Any]]) -> str:
    """The result file."""
    made_in = rows[-1]["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in made_in["versions"].items())
    names = list(rows[0]["operations"])
    compiled = [name for name in names if "first_call_s" in rows[0]["operations"][name]]
    blocks = [
        "Made by `python -m hoijax.experiments.benchmarks.render`, whose docstring says how it measures; all samples\n"
        "are in `render.json`. The free body (13,796 faces) and its subdivision simplified to 27,420 faces fill 9/10\n"
        "of the picture's height. Embree casts one ray per pixel on one thread and on all cores; the faster counts.",
        f"{made_in['cpu']}, {made_in['cores']} cores, {made_in['device']}, Python {made_in['python']}, {versions};\n"
        f"{made_in['date']}.",
        heading("Against Embree, and what gradients cost"),
        "Ratios of times within clean rounds: median [least, greatest]. Ids: pixels whose face differs from Embree's.",
        table(
            ["faces", "size", "views", "covered", "hard pass, ms", "Embree / hard", "Embree with its tree / hard",
             "interpolated RGB and gradient / hard", "ids", "clean rounds"],
            map(_against_embree, rows),
        ),
    ]  # fmt: skip
    for title, key, columns, digits in (
        ("Milliseconds per call, median of all rounds", "median_ms", names, 2),
        ("First call, seconds: tracing and compiling", "first_call_s", compiled, 1),
        ("Memory beside inputs and outputs, MB, as XLA plans it; its share of the formula's bound", "temp_mb",
         compiled, 1),
    ):  # fmt: skip
        cells = [[*_case(row), *(_operation(row, name, key, digits) for name in columns)] for row in rows]
        blocks += [heading(title), table(["faces", "size", "views", *columns], cells)]
    return page("Speed of the renderer", *blocks)


def _case(row: dict[str, Any]) -> list[str]:
    return [f"{row['faces']:,}", f"{row['size']}²", f"{row['views']}"]


def _against_embree(row: dict[str, Any]) -> list[str]:
    ratios, pixels = row["ratios"], row["views"] * row["size"] ** 2
    return [
        *_case(row), f"{row['covered']:.1%}", f"{row['operations']['hard']['median_ms']:.2f}",
        spread(ratios["Embree / hard"]), spread(ratios["Embree with build / hard"]),
        spread(ratios["interpolate+gradient / hard"]), f"{row['ids_different_from_embree']} of {pixels:,}",
        f"{row['clean_rounds']} of {row['rounds']}",
    ]  # fmt: skip


def _operation(row: dict[str, Any], name: str, key: str, digits: int) -> str:
    value = row["operations"][name].get(key)
    text = "" if value is None else f"{value:.{digits}f}"
    return f"{text}, {value / bound_mb(name, row):.0%}" if key == "temp_mb" else text


def bound_mb(operation: str, row: dict[str, Any]) -> float:
    """The memory formula of docs/render.md, MB."""
    per_pixel, per_face = MEMORY[operation]
    return row["views"] * (per_pixel * row["size"] ** 2 + per_face * row["faces"]) / 1e6 + 1
