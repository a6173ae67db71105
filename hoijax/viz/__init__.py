"""Pictures and pages for people: comparison figures, turntables, the report page, the live viewer.

A scene is a sequence of `NamedMesh(name, vertices (V 3), faces (F 3), colors)`: world coordinates, metres, y up;
`colors` is one sRGB colour `(3,)`, one per vertex `(V, 3)` in [0, 1], or None for a neutral one chosen by the
name ("body...", "object...", anything else).

* `write_comparison(path_png, before, after, *, views=3, size=512, ...)`: one row per state, one column per view.
* `write_views(path_png, scene, *, views=4, size=512, ...)`: the same scene from several sides.
* `write_turntable(path, scene, *, frames=48, size=512, ...)`: GIF, or MP4 with the extra [video], by suffix.
* `read_scene(path)`: the named meshes of a GLB, OBJ, PLY... file, with colours and textures.
* `write_report(path_html, title, before, after, metrics, *, pictures=(), text="")`: one self-contained page with
  an orbitable 3D view; `metrics` maps a name to `Metric(before, after, unit, better)` or to a pair of numbers.
* `write_page(path_html, title, cases, *, text="")`: the same for several cases, each a
  `Case(name, before, after, metrics, pictures, text)`; with `motion=Motion3D(times, before, after)` it plays.
* `write_moments(path_png, before, after)`: frames of a motion side by side, before above after.

Every writer puts the file in place by renaming, so that a stopped run leaves no half-written file.
"""

from hoijax.viz.figures import join_scene, render_views, write_comparison, write_turntable, write_views
from hoijax.viz.moments import Motion3D, MovingMesh, render_moments, write_moments
from hoijax.viz.read import read_scene
from hoijax.viz.report import Case, Metric, write_page, write_report
from hoijax.viz.scene import NamedMesh, SceneMeshes, corner_normals, scene_bounds, vertex_colors

__all__ = [
    "Case",
    "Metric",
    "Motion3D",
    "MovingMesh",
    "NamedMesh",
    "SceneMeshes",
    "corner_normals",
    "join_scene",
    "read_scene",
    "render_moments",
    "render_views",
    "scene_bounds",
    "vertex_colors",
    "write_comparison",
    "write_moments",
    "write_page",
    "write_report",
    "write_turntable",
    "write_views",
]
