"""Bodies from pictures."""
from hoijax.optim.fitting.people import *
