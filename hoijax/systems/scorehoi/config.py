"""Every number of ScoreHOI's guided refinement."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class GuidedConfig:
    """The paper's setting by default (section 3.6, table 4); where paper and released code differ, a switch."""

    iterations: int = 10
    """N: rounds of inversion and guided sampling."""
    noise_level: int = 50
    """tau: time index up to which a state is inverted."""
    step: int = 2
    """Delta t: time indices between two evaluations of the denoiser."""
    scale: float = 1.0
    """rho. Perturbs a clean estimate by -rho (1 - abar_t) / abar_t times the loss's gradient at each step."""
    guided: int | None = None
    """Time index above which the losses do not guide; None: everywhere, as published, where tau is 50."""
    contact: float | jax.Array = 0.5
    """lambda_ho, of the human-object contact loss. This and the next two may be arrays of a program that is traced."""
    floor: float | jax.Array = 0.5
    """lambda_of, of the object-floor contact loss."""
    penetration: float | jax.Array = 0.1
    """lambda_pt, of the sum of the depths of body vertices inside the object, metres; 0 switches it off."""
    keypoints: float = 0.0
    """Of the 2D keypoints, where image evidence is given."""
    mask: float = 0.0
    """Of the object's points outside the masks, where image evidence is given."""
    margin: float = 0.02
    """Distance that contact does not mind, metres."""
    threshold: float = 0.5
    """Contact probability above which a point is in contact."""
    feedback: str = "paper"
    """"paper": contact is predicted anew before each iteration (Algorithm 1, line 5); "released": the first prediction
    guides every iteration, as in the released code."""
    restart: str = "xt"
    """What an iteration hands to the next: the state at time index 0 (released; nearly reversible) or the guided clean
    estimate of the last step (Algorithm A, line 13)."""
    entry: str = "inverted"
    """How an iteration gets to the noise level: "inverted" carries the state there by the deterministic sampler (the
    paper), so that without guidance it comes back as it was; "noisy" takes the state's own errors for the noise, which
    the prior then removes too: for estimates that no image speaks for."""
    surface: bool = False
    """Whether the body's distances to the object are those of its distance grid, rather than of its 64 points, which
    lie up to a hand's length apart on large objects."""
    through_network: bool = False
    """Whether the loss is differentiated through the denoiser as well; neither ScoreHOI nor ScoreHMR does."""
    tolerance: float | None = None
    """A sample stops when an iteration lowers its loss by less than this fraction; None: never before N."""

    def __post_init__(self):
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations}")
        if not 0 < self.step <= self.noise_level:
            raise ValueError(f"need 0 < step <= noise_level, got {self.step} and {self.noise_level}")
        choices = {"feedback": ("paper", "released"), "restart": ("xt", "x0"), "entry": ("inverted", "noisy")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")

    @classmethod
    def faster(cls) -> "GuidedConfig":
        """The paper's "Ours-Faster" (table 2): two iterations."""
        return cls(iterations=2)

    @classmethod
    def denoising(cls) -> "GuidedConfig":
        """hoijax's own, for estimates that are off by more than the paper's: their errors are taken for much noise.

        The denoiser, which sees the picture too, removes it; the losses have their say where little is left. Chosen on
        SynthHOI's val split (docs/scorehoi.md). Wants a denoiser trained up to time index 590.
        """
        return cls(
            iterations=2, noise_level=590, step=10, guided=100, contact=10.0, penetration=0.3, margin=0.0,
            entry="noisy", surface=True, restart="x0",
        )  # fmt: skip

    @classmethod
    def released(cls) -> "GuidedConfig":
        """The released code's own defaults. Its penetration term has no gradient, hence the weight 0 here."""
        return cls(iterations=20, step=5, penetration=0.0, feedback="released")

    @property
    def evaluations(self) -> int:
        """Calls of the denoiser per sample."""
        ways = 2 if self.entry == "inverted" else 1
        return ways * self.iterations * (self.noise_level // self.step)
