"""Random adults from MakeHuman's macro targets.

A target's coefficient is the product of the factors in its name, each piecewise linear in a slider between 0 and 1
(`macrodetails/macro.json`). The distributions are invented, chosen for plausible statures and body mass; they are no
anthropometric evidence.
"""

import numpy as np

from .source import BODY_VERTICES, load_target

GENDERS, AGES = ("female", "male"), ("young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
CUPS = ("mincup", "averagecup", "maxcup")
FIRMNESS = ("minfirmness", "averagefirmness", "maxfirmness")
ORIGINS = ("african", "asian", "caucasian")
HEIGHTS = ("minheight", "maxheight")
PROPORTIONS = ("uncommonproportions", "idealproportions")


def target_table():
    """(factors, file name) of the 336 adult macro targets."""
    rows = [((o, g, a), f"macrodetails/{o}-{g}-{a}") for g in GENDERS for a in AGES for o in ORIGINS]
    for g in GENDERS:
        for a in AGES:
            for m in MUSCLES:
                for w in WEIGHTS:
                    stem = f"{g}-{a}-{m}-{w}"
                    rows.append(((g, a, m, w), f"macrodetails/universal-{stem}"))
                    rows += [((g, a, m, w, h), f"macrodetails/height/{stem}-{h}") for h in HEIGHTS]
                    rows += [((g, a, m, w, p), f"macrodetails/proportions/{stem}-{p}") for p in PROPORTIONS]
                    if g == "female":  # the average breast is the universal target itself, so it has no file
                        pairs = [(c, f) for c in CUPS for f in FIRMNESS if (c, f) != ("averagecup", "averagefirmness")]
                        rows += [((g, a, m, w, c, f), f"breast/{stem}-{c}-{f}") for c, f in pairs]
    return rows


def three_way(x, names):
    """Factors of a three-stop slider, extrapolated linearly outside [0, 1].

    Extrapolation matters for weight: MakeHuman's own maximum is a body mass index of about 22 at average muscle.
    """
    low, high = max(0.0, 1 - 2 * x), max(0.0, 2 * x - 1)
    return {names[0]: low, names[1]: 1 - low - high, names[2]: high}


class Population:
    """Draws adults as full MakeHuman meshes (19158, 3), metres, in MakeHuman's A-pose."""

    def __init__(self, source, base, progress):
        rows = target_table()
        self.base = base
        self.factors = [factors for factors, _ in rows]
        self.targets = np.stack([load_target(source, name) for _, name in progress(rows, "targets")])

    def mesh(self, person, height):
        """Base mesh morphed by the sliders of `person`, height slider apart."""
        value = {"male": person["gender"], "female": 1 - person["gender"], "old": 2 * person["age"] - 1}
        value["young"] = 1 - value["old"]
        value |= three_way(person["muscle"], MUSCLES) | three_way(person["weight"], WEIGHTS)
        value |= three_way(person["cup"], CUPS) | three_way(person["firmness"], FIRMNESS)
        for x, (low, high) in ((height, HEIGHTS), (person["proportions"], PROPORTIONS)):
            value |= {low: max(0.0, 1 - 2 * x), high: max(0.0, 2 * x - 1)}
        value |= dict(zip(ORIGINS, person["origin"], strict=True))
        weights = np.array([np.prod([value[f] for f in factors]) for factors in self.factors], np.float32)
        used = np.flatnonzero(weights)
        return self.base + np.tensordot(weights[used], self.targets[used], 1)

    def draw(self, rng, index):
        """One adult, women and men in turn. Returns the mesh and the sliders with `stature` in metres."""
        male = index % 2

        def clipped(mean, sigma, low=0.0, high=1.0):
            return float(np.clip(rng.normal(mean, sigma), low, high))

        person = {
            "gender": float(np.clip(male + (1 - 2 * male) * abs(rng.normal(0, 0.12)), 0, 1)),
            "age": 0.5 + 0.5 * rng.beta(1.2, 2.5),
            "muscle": clipped(0.5, 0.22),
            "weight": clipped(0.68, 0.38, 0.0, 1.6),
            "proportions": clipped(0.5, 0.2),
            "cup": clipped(0.5, 0.22),
            "firmness": clipped(0.5, 0.2),
            "origin": rng.dirichlet([1.2] * 3),
            "stature": rng.normal(1.757, 0.072) if male else rng.normal(1.625, 0.066),
        }
        # The height slider is steep, so the stature is drawn and the slider solved for, linearly.
        middle = self.mesh(person, 0.5)
        toward = self.mesh(person, 0.75 if person["stature"] > stature(middle) else 0.25)
        step = (person["stature"] - stature(middle)) / (stature(toward) - stature(middle))
        return middle + step * (toward - middle), person


def stature(vertices):
    """Height of the body vertices, metres."""
    return np.ptp(vertices[:BODY_VERTICES, 1])
