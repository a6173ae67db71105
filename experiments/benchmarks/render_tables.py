"""The rows of the rendering benchmark as text."""

from typing import Any

#: Bytes per pixel and per face, of each picture, that bound the memory beside inputs and outputs (RGB, CPU); 1 MB more.
MEMORY = {
    "hard": (8, 190),
    "interpolate": (9, 270),
    "interpolate+gradient": (9, 470),
    "antialias": (28, 430),
    "antialias+gradient": (36, 670),
    "soft": (4, 200),
    "soft+gradient": (12, 500),
}


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
    return "\n".join(lines + [f"  {name:28s} {_spread(ratio)}" for name, ratio in row["ratios"].items()])


def markdown(rows: list[dict[str, Any]]) -> str:
    """The result file."""
    made_in = rows[-1]["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in made_in["versions"].items())
    lines = [
        "# Speed of the renderer",
        "",
        "Made by `python -m hoijax.experiments.benchmarks.render`, whose docstring says how it measures; all samples",
        "are in `render.json`. The free body (13,796 faces) and its subdivision simplified to 27,420 faces fill 9/10",
        "of the picture's height. Embree casts one ray per pixel on one thread and on all cores; the faster counts.",
        "",
        f"{made_in['cpu']}, {made_in['cores']} cores, {made_in['device']}, Python {made_in['python']}, {versions};",
        f"{made_in['date']}.",
        "",
        "## Against Embree, and what gradients cost",
        "",
        "Ratios of times within clean rounds: median [least, greatest]. Ids: pixels whose face differs from Embree's.",
        "",
        "| faces | size | views | covered | hard pass, ms | Embree / hard | Embree with its tree / hard "
        "| interpolated RGB and gradient / hard | ids | clean rounds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios, pixels = row["ratios"], row["views"] * row["size"] ** 2
        cells = [
            f"{row['faces']:,}", f"{row['size']}²", f"{row['views']}", f"{row['covered']:.1%}",
            f"{row['operations']['hard']['median_ms']:.2f}", _spread(ratios["Embree / hard"]),
            _spread(ratios["Embree with build / hard"]), _spread(ratios["interpolate+gradient / hard"]),
            f"{row['ids_different_from_embree']} of {pixels:,}", f"{row['clean_rounds']} of {row['rounds']}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    names = list(rows[0]["operations"])
    compiled = [name for name in names if "first_call_s" in rows[0]["operations"][name]]
    for title, key, columns, digits in (
        ("Milliseconds per call, median of all rounds", "median_ms", names, 2),
        ("First call, seconds: tracing and compiling", "first_call_s", compiled, 1),
        (
            "Memory beside inputs and outputs, MB, as XLA plans it; its share of the formula's bound",
            "temp_mb",
            compiled,
            1,
        ),
    ):
        lines += ["", f"## {title}", "", f"| faces | size | views | {' | '.join(columns)} |"]
        lines.append("|---" * (3 + len(columns)) + "|")
        for row in rows:
            cells = [f"{row['faces']:,}", f"{row['size']}²", f"{row['views']}"]
            numbers = [_number(row["operations"][name].get(key), digits) for name in columns]
            if key == "temp_mb":
                numbers = [
                    f"{text}, {row['operations'][name][key] / bound_mb(name, row):.0%}"
                    for text, name in zip(numbers, columns)
                ]
            cells += numbers
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def bound_mb(operation: str, row: dict[str, Any]) -> float:
    """The memory formula of docs/render.md, MB."""
    per_pixel, per_face = MEMORY[operation]
    return row["views"] * (per_pixel * row["size"] ** 2 + per_face * row["faces"]) / 1e6 + 1


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _spread(ratio: dict[str, float] | None) -> str:
    return "no clean round" if ratio is None else f"{ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]"
