"""Closes the mouth, the nostrils and the eye sockets by fixed linear maps, so that they hold for every shape.

MakeHuman's mouth bag and eye sockets are dents of the one body surface. What no outside view sees is refilled by a
membrane; the socket is then laid onto the front of the eyeball, because a membrane alone leaves blank, flat eyes.
"""

import numpy as np
import scipy.sparse.csgraph as csgraph
import trimesh

from .skeleton import INDEX
from .surface import apply, fill_smooth, smoothing, turn, vertex_normals, zbuffer
from .tpose import unit


def visible_from_outside(vertices, faces, count, near):
    """Which of the first `count` vertices (where `near`) some of 60 directions around the head sees."""
    seen = np.zeros(count, bool)
    centre = vertices[:count][near].mean(0)
    close = np.concatenate([near, np.ones(len(vertices) - count, bool)])
    local = faces[close[faces].any(1)]
    normals = vertex_normals(vertices, faces)
    size, scale = 800, 1600.0
    for azimuth in range(0, 360, 30):
        for elevation in (-60, -30, 0, 30, 60):
            q = turn(vertices - centre, azimuth, elevation)
            facing = turn(normals, azimuth, elevation)[:count, 2]
            xy = np.stack([size / 2 + q[:, 0] * scale, size / 2 - q[:, 1] * scale], axis=1)
            depth = zbuffer(xy, q[:, 2], local, size, size)[1]
            pixel = np.floor(xy[:count]).astype(int)
            k = np.flatnonzero(near & (pixel > 1).all(1) & (pixel < size - 2).all(1) & (facing > -0.1))
            seen[k[q[k, 2] > depth[pixel[k, 1], pixel[k, 0]] - 0.0015]] = True
    return seen


def close_cavities(space, base, adjacent):
    """Refills the hidden parts of the head.

    Args:
      space: `ShapeSpace` with the raw surface.
      base: `BaseMesh`.
      adjacent: vertex adjacency of the body.

    Returns:
      fields (11, V, 3) of the closed surface; masks (V,) of refilled mouth and nostril vertices and of eye vertices.
    """
    body, eyes, mirror = space.body, space.eyes, base.mirror
    count = body.shape[1]
    head = base.weights[:, INDEX["head"]]
    centre = body[0][head > 0.9].mean(0)
    near = np.linalg.norm(body[0] - centre, axis=1) < 0.25
    vertices = np.concatenate([body[0], eyes[0]])
    faces = np.concatenate([base.faces, count + base.eye_faces])
    hidden = near & (head > 0.3) & ~visible_from_outside(vertices, faces, count, near)
    hidden |= hidden[mirror]
    ids = np.flatnonzero(hidden)
    parts, label = csgraph.connected_components(adjacent[ids][:, ids], directed=False)
    components = [ids[label == k] for k in range(parts) if np.sum(label == k) >= 12]
    closed = np.zeros(count, bool)
    closed[np.concatenate(components)] = True
    body = apply(fill_smooth(adjacent, closed), body)

    eye = np.zeros(count, bool)
    balls = trimesh.Trimesh(eyes[0], base.eye_faces, process=False)
    for sign in (1, -1):
        ball = eyes[0][eyes[0, :, 0] * sign > 0]
        middle = ball.mean(0)
        radius = 1.02 * np.linalg.norm(ball - middle, axis=1).max()
        for part in components:
            if np.linalg.norm(body[0][part].mean(0) - middle) > 0.022 or len(part) < 20:
                continue
            forward = body[0][part] - middle
            forward[:, 2] = np.abs(forward[:, 2]) + 0.003
            on_ball, _, face = trimesh.proximity.closest_point(balls, middle + unit(forward) * radius)
            bary = trimesh.triangles.points_to_barycentric(balls.triangles[face], on_ball)
            body[:, part] = np.einsum("cnkx,nk->cnx", eyes[:, base.eye_faces[face]], bary)
            eye[part] = True
    for _ in range(3):
        body = apply(smoothing(adjacent, 0.5 * eye), body)
    body = 0.5 * (body + body[:, mirror] * np.array([-1.0, 1.0, 1.0]))
    return body, closed & ~eye, eye
