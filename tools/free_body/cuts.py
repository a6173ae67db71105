"""Cuts the surface along the zero lines of scalar fields, so that region borders are crisp rows of edges.

Every crossed edge receives two new vertices, one on the line and one a few millimetres beyond. New vertices are fixed
linear combinations of old ones, so shape directions, weights and everything else follow by one sparse map.
"""

import numpy as np
import scipy.sparse as sp


def symmetric_triangles(quads, vertices, mirror):
    """Quads split along their shorter diagonal, the right half being the mirror image of the left.

    Args:
      quads: (Q, 4); none crosses the plane x = 0 (the mesh has a midline).
      vertices: (V, 3) mirror-symmetric.
      mirror: mirror image of each vertex.
    """
    left = quads[vertices[quads, 0].mean(1) > 0]
    assert 2 * len(left) == len(quads)
    corner = vertices[left]
    first = np.linalg.norm(corner[:, 0] - corner[:, 2], axis=1) <= np.linalg.norm(corner[:, 1] - corner[:, 3], axis=1)
    a = np.where(first[:, None], left[:, [0, 1, 2]], left[:, [0, 1, 3]])
    b = np.where(first[:, None], left[:, [0, 2, 3]], left[:, [1, 2, 3]])
    triangles = np.concatenate([a, b])
    return np.concatenate([triangles, mirror[triangles][:, ::-1]])


def _clear_band(field, faces, mask, gap):
    """Sparse map sliding vertices too close to the line away from it along an edge, which keeps rows smooth."""
    count = len(field)
    inner, outer = 0.6 * gap, -2.0 * gap
    rows, columns, shares = [], [], []
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    for v, u in edges[mask[edges].all(1)]:
        goal = inner if field[v] > 0 else outer
        if (0 < field[v] < inner < field[u]) or (outer < field[v] <= 0 and field[u] < outer):
            rows.append(v)
            columns.append(u)
            shares.append((goal - field[v]) / (field[u] - field[v]))
    rows, columns, shares = np.array(rows, int), np.array(columns, int), np.array(shares)
    ways = np.maximum(np.bincount(rows, minlength=count), 1)[rows]  # mean over all edges that lead away
    keep = np.ones(count)
    np.subtract.at(keep, rows, shares / ways)
    return sp.diags(keep) + sp.csr_matrix((shares / ways, (rows, columns)), shape=(count, count))


def cut(vertices, faces, mirror, field, mask, gap):
    """Inserts the line `field` = 0 and its parallel `gap` outside into the mesh.

    Args:
      vertices: (V, 3) positions that lengths are measured on.
      faces: (F, 3), mirror-symmetric.
      mirror: (V,).
      field: (V,) positive inside, mirror-symmetric.
      mask: (V,) where the field is meant; its zero line must close inside the mask.
      gap: distance between the two rows, in units of the field (metres).

    Returns:
      Sparse (V', V) map with V' >= V, its first V rows the identity; new faces; new mirror; +1 for new vertices on the
      line, -1 beyond it, 0 for old ones (V',); the old vertex outside the line next to each new one (V' - V,).
    """
    count = len(vertices)
    clear = _clear_band(field, faces, mask, gap)
    vertices, field = clear @ vertices, clear @ field
    inside = field > 0
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    edges = edges[(inside[edges[:, 0]] != inside[edges[:, 1]]) & mask[edges].all(1)]
    a = np.where(inside[edges[:, 0]], edges[:, 0], edges[:, 1])  # inside end
    b = edges.sum(1) - a
    on_line = np.clip(field[a] / (field[a] - field[b]), 0.03, 0.90)
    beyond = np.minimum((field[a] + gap) / (field[a] - field[b]), 1 - 0.4 * (1 - on_line))
    number = {(int(i), int(o)): k for k, (i, o) in enumerate(zip(a, b, strict=True))}
    new = len(a)
    first, second = count + np.arange(new), count + new + np.arange(new)
    rows = np.concatenate([np.arange(count), first, first, second, second])
    columns = np.concatenate([np.arange(count), a, b, a, b])
    values = np.concatenate([np.ones(count), 1 - on_line, on_line, 1 - beyond, beyond])
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(count + 2 * new, count)) @ clear
    image = np.array([number[int(mirror[i]), int(mirror[o])] for i, o in zip(a, b, strict=True)], int)
    new_mirror = np.concatenate([mirror, count + image, count + new + image])

    crossed = np.ptp(inside[faces].astype(int), axis=1) > 0
    result = []
    for triangle in faces[crossed]:
        for turn in range(3):  # bring the corner that is alone on its side to the front
            p, q, r = np.roll(triangle, -turn)
            if inside[p] != inside[q] and inside[p] != inside[r]:
                break
        ends = [(p, q) if inside[p] else (q, p), (p, r) if inside[p] else (r, p)]
        if ends[0] not in number or ends[1] not in number:
            if (ends[0] in number) != (ends[1] in number):
                raise ValueError(f"the line leaves its mask at {vertices[triangle].mean(0).round(3)}")
            result.append(triangle)
            continue
        rows_q = [k + number[ends[0]] for k in (count, count + new)]
        rows_r = [k + number[ends[1]] for k in (count, count + new)]
        if not inside[p]:  # order from the lone corner outwards
            rows_q, rows_r = rows_q[::-1], rows_r[::-1]
        result.append((p, rows_q[0], rows_r[0]))
        for (q0, r0), (q1, r1) in (((rows_q[0], rows_r[0]), (rows_q[1], rows_r[1])), ((rows_q[1], rows_r[1]), (q, r))):
            # A number shared by mirror images picks the diagonal, so both sides of the body get the same one.
            from_q = min(q0, new_mirror[q0]) < min(r0, new_mirror[r0])
            result += [(q0, q1, r1), (q0, r1, r0)] if from_q else [(q0, q1, r0), (q1, r1, r0)]
    side = np.concatenate([np.zeros(count, int), np.ones(new, int), -np.ones(new, int)])
    return matrix, np.concatenate([faces[~crossed], np.array(result)]), new_mirror, side, np.concatenate([b, b])
