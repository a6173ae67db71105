"""Turns bare feet into shoes: a rounded solid grown around the foot on a voxel grid, and the mesh wrapped onto it."""

import dataclasses

import numpy as np
import scipy.ndimage as ndi

from .regions import REGION
from .skeleton import JOINT_MIRROR
from .surface import FLIP, apply, fill_smooth, grow, vertex_normals

VOXEL = 0.002
CLOSING = 0.014  # radius of the ball that cannot enter between the toes or under the arch
INFLATION = 0.003
SOLE_DROP = 0.006  # the sole's underside below the bare foot's lowest point
BALL = 0.055  # z of the ball of the foot on the mean body; what lies ahead is toes
WRAP_STEPS = 300
KERNEL = 0.012  # metres; skin weights and shape directions of the shoe average those of the foot with this Gaussian


def _surface_points(corners):
    """Points on triangles, close enough to leave no hole in the voxel shell."""
    points = []
    longest = np.max([np.linalg.norm(corners[:, k] - corners[:, k - 1], axis=1) for k in range(3)], axis=0)
    for steps in np.unique(np.ceil(longest / (0.5 * VOXEL)).astype(int)):
        some = corners[np.ceil(longest / (0.5 * VOXEL)).astype(int) == steps]
        i, j = (g.ravel() for g in np.mgrid[0 : steps + 1, 0 : steps + 1])
        ok = i + j <= steps
        u, v = i[ok] / steps, j[ok] / steps
        bary = np.stack([u, v, 1 - u - v], axis=1)
        points.append(np.einsum("pk,tkx->tpx", bary, some).reshape(-1, 3))
    return np.concatenate(points)


def shoe_field(corners, floor):
    """Signed distance grid (positive outside) of a shoe around the triangles of one foot and shank.

    Returns:
      Values (X, Y, Z) in metres and the position of the first voxel's centre.
    """
    origin = corners.reshape(-1, 3).min(0) - 0.04
    shape = np.ceil((corners.reshape(-1, 3).max(0) + 0.04 - origin) / VOXEL).astype(int)
    solid = np.zeros(shape, bool)
    solid[tuple(((_surface_points(corners) - origin) / VOXEL + 0.5).astype(int).T)] = True
    for j in range(shape[1]):
        solid[:, j] = ndi.binary_fill_holes(solid[:, j])
    level = lambda y: round((y - origin[1]) / VOXEL)  # noqa: E731
    footprint = solid[:, level(floor) : level(floor + 0.03)].any(1)
    wide = ndi.distance_transform_edt(~footprint) * VOXEL <= 0.030
    footprint = ndi.distance_transform_edt(wide) * VOXEL > 0.030 - 0.002
    bottom = floor - SOLE_DROP + INFLATION - 0.004  # a little lower, so that the cut at the floor leaves a flat sole
    solid[:, level(bottom) : level(floor + 0.012)] |= footprint[:, None]
    outside = ndi.distance_transform_edt(~solid) * VOXEL
    grown = outside <= CLOSING
    field = np.where(
        grown, CLOSING - ndi.distance_transform_edt(grown) * VOXEL, CLOSING + ndi.distance_transform_edt(~grown) * VOXEL
    )
    return ndi.gaussian_filter(field, 1.5) - INFLATION, origin


def _sample(grid, origin, points):
    return ndi.map_coordinates(grid, ((points - origin) / VOXEL).T, order=1, mode="nearest")


def _pull(position, edges, foot):
    """Towards the neighbours, longer edges pulling more, so that vertices spread evenly."""
    i, j = edges
    span = position[j] - position[i]
    weight = np.linalg.norm(span, axis=1) + 1e-5
    total = np.bincount(i, weight, len(position))
    return (
        np.stack([np.bincount(i, weight * span[:, k], len(position)) for k in range(3)], axis=1)[foot]
        / total[foot, None]
    )


def _toe_cap(surface, toes, grid, origin):
    """Spreads the toes' vertices over the front of the shoe.

    Harmonic smoothing first shrinks the toes into the disc at the ball of the foot, free of creases and folds; the disc
    is then blown up along rays from its centre.
    """
    position = surface.mean.copy()
    mask = np.zeros(len(position))
    mask[toes] = 1.0
    rim = np.flatnonzero(grow(surface.adjacent, mask > 0) & (mask == 0))
    position = apply(fill_smooth(surface.adjacent, mask > 0), position)
    centre = position[rim].mean(0)

    def polar(p):
        d = (p - centre)[:, :2]
        return np.arctan2(d[:, 1], d[:, 0]), np.hypot(d[:, 0], d[:, 1])

    rim_angle, rim_radius = polar(position[rim])
    angle, radius = polar(position[toes])
    share = np.clip(radius / np.interp(angle, *_sort(rim_angle, rim_radius), period=2 * np.pi), 0, 1)
    open_angle = share * np.pi / 2
    ray = np.stack([np.sin(open_angle) * np.cos(angle), np.sin(open_angle) * np.sin(angle), np.cos(open_angle)], axis=1)
    reach = np.arange(0.0, 0.16, 0.5 * VOXEL)
    values = np.stack([_sample(grid, origin, centre + t * ray) for t in reach], axis=1)
    position[toes] = centre + reach[np.argmax(values > 0, axis=1)][:, None] * ray
    return position


def _sort(x, y):
    order = np.argsort(x)
    return x[order], y[order]


def _wrap(surface, foot, grid, origin):
    """Positions of the foot's vertices wrapped onto the zero level of the grid, evenly spread."""
    gradient = [np.asarray(g) / VOXEL for g in np.gradient(grid)]
    toes = foot[surface.mean[foot, 2] > BALL]
    position = _toe_cap(surface, toes, grid, origin)
    both = surface.adjacent.tocoo()
    edges = (both.row, both.col)
    for i in range(WRAP_STEPS + 5):
        p = position[foot]
        slope = np.stack([_sample(g, origin, p) for g in gradient], axis=1)
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
        last = i >= WRAP_STEPS
        p = p - (0.9 if last else 0.3) * _sample(grid, origin, p)[:, None] * slope
        if not last:
            pull = 0.6 * _pull(position, edges, foot)
            p = p + pull - np.sum(pull * slope, axis=1, keepdims=True) * slope
        position[foot] = p
        if last:  # what still lies folded over is drawn flat between its neighbours
            folded = np.zeros(len(position), bool)
            folded[foot] = np.sum(vertex_normals(position, surface.faces)[foot] * slope, axis=1) < 0.5
            folded = grow(surface.adjacent, folded) & np.isin(np.arange(len(position)), foot)
            if folded.any():
                position = apply(fill_smooth(surface.adjacent, folded), position)
    return position[foot]


def put_on_shoes(surface, labels):
    """Wraps the vertices of the shoe region onto a shoe; the left one is made and mirrored."""
    mean, mirror = surface.mean, surface.mirror
    left = mean[:, 0] > 0
    shoe_region = (labels == REGION["shoes"]) & left
    foot = np.flatnonzero(shoe_region)
    floor, top = mean[foot, 1].min(), mean[foot, 1].max()
    near = left & (mean[:, 1] < floor + 0.16)
    grid, origin = shoe_field(mean[surface.faces[near[surface.faces].all(1)]], floor)
    shoe = _wrap(surface, foot, grid, origin)
    shoe[:, 1] = np.maximum(shoe[:, 1], floor - SOLE_DROP)
    share = np.clip((top - mean[foot, 1]) / 0.03, 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    # What the shoe's vertices inherit is averaged around where they came to lie on the bare foot.
    around = np.flatnonzero(near)
    squared = ((shoe[:, None] - mean[around][None]) ** 2).sum(-1)
    kernel = np.exp(-0.5 * (squared - squared.min(1, keepdims=True)) / KERNEL**2)
    kernel /= kernel.sum(1, keepdims=True)
    fields, weights = surface.fields.copy(), surface.weights.copy()
    fields[0, foot] += share * (shoe - mean[foot])
    fields[1:, foot] += share * (np.einsum("fa,cax->cfx", kernel, fields[1:, around]) - fields[1:, foot])
    weights[foot] += share * (kernel @ weights[around] - weights[foot])
    fields[:, mirror[foot]] = fields[:, foot] * FLIP
    weights[mirror[foot]] = weights[foot][:, JOINT_MIRROR]
    return dataclasses.replace(surface, fields=fields, weights=weights)
