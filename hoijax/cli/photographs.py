"""What the verbs that take photographs check alike."""

from hoijax.errors import InputError


def check_photograph(focal: float | None, size_std: float) -> None:
    """Checks --focal and --size-std.

    Args:
      focal: pixels; None where it is not given.
      size_std: share of the mesh's size.

    Raises:
      InputError: either is out of its range.
    """
    if focal is not None and not 1 < focal < 1e6:
        raise InputError(f"--focal {focal:g}: wanted are pixels of the picture, above 1")
    if not 0.001 <= size_std <= 1:
        raise InputError(f"--size-std {size_std:g}: wanted is 0.001 to 1")
