"""Stand-ins for what pickles name, and an unpickler that knows nothing else and cannot be made to work long or to grow.

A pickle is a program of some seventy instructions. Without any code of others it can still copy one megabyte a million
times, nest lists so that a walk through them takes 10^30 steps, or let a set hash such a nest. Every instruction and
every stand-in here therefore does an amount of work that the file's own length bounds.
"""

import collections
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

from hoijax.errors import InputError

_MOST_ARGUMENTS = 64
_MOST_KINDS = 256


class Budget:
    """Bytes that the making of objects may take in all.

    Args:
      limit: so many.
    """

    def __init__(self, limit: int):
        self.limit = self.left = limit

    def spend(self, size: int) -> None:
        """Takes from it.

        Raises:
          InputError: nothing is left.
        """
        self.left -= size
        if self.left < 0:
            raise InputError(
                f"it unfolds to more than {self.limit >> 20:,} MiB; it is damaged, or made to fill the memory"
            )


class _Fixed(type):
    """Metaclass of the stand-ins. A pickle may set attributes of whatever it names; these take none."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise InputError(f"it tries to change {cls.__name__}; the file is damaged or hostile")


class _Marker(metaclass=_Fixed):
    """A class that a pickle names only to hand it to other stand-ins."""

    def __new__(cls, *args: Any) -> "_Marker":
        raise InputError("it makes an object of a kind that the files of this field do not hold")


class NDArray(_Marker):
    """Stands for numpy.ndarray."""


class _Object(_Marker):
    """Stands for object."""


class Inert(metaclass=_Fixed):
    """Keeps the arguments and the state that a pickle gives an object, and does nothing else."""

    kind = ""

    def __new__(cls, *args: Any) -> "Inert":  # noqa: D102 - what the class says
        new = super().__new__(cls)
        new.args, new.state = args, None
        return new

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Foreign(Inert):
    """Stands for the classes of chumpy and scipy.sparse; `kind` says which."""


class DType(Inert):
    """Stands for numpy.dtype."""


class Array(Inert):
    """Stands for an array: numpy's `_reconstruct(ndarray, shape, code)`, then its state."""


class Buffer(Inert):
    """Stands for an array: numpy's `_frombuffer(bytes, dtype, shape, order)`."""


class Scalar(Inert):
    """Stands for numpy's `scalar(dtype, bytes)`."""


@dataclasses.dataclass(frozen=True)
class Ignored:
    """An object that says nothing that is looked for: optimisers, devices, configurations."""

    name: str
    """Its class."""

    def __call__(self, *args: Any, **kwargs: Any) -> "Ignored":  # noqa: D102 - what the class says
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """Takes what a pickle puts into a dictionary of its own class."""

    def append(self, value: Any) -> None:
        """Takes what a pickle puts into a list of its own class."""

    def extend(self, values: Any) -> None:
        """Takes what a pickle puts into a list of its own class."""


_SPARSE = {"csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"}
_KNOWN: dict[tuple[str, str], Any] = {
    ("builtins", "object"): _Object,
    ("numpy", "ndarray"): NDArray,
    ("numpy", "dtype"): DType,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Buffer for core in ("core", "_core")},
}


def check_key(key: Any) -> None:
    """Refuses keys of dictionaries and members of sets whose hash takes long or can be chosen.

    Raises:
      InputError: no text, number, or flat tuple of such.
    """
    for part in key if type(key) is tuple and len(key) <= 16 else (key,):
        if type(part) is int and abs(part) < 1 << 60:
            continue
        if not isinstance(part, str | bytes | float | bool | Inert | Ignored | None):
            raise InputError(f"it has a key of a kind that is not read ({type(part).__name__})")


class InertUnpickler(pickle._Unpickler):  # the one in Python: its instructions can be replaced one by one
    """An unpickler that knows the stand-ins only; its result still holds them, see `hoijax.io.pickles.loads`.

    Args:
      file: a binary file in memory.
      encoding: of the texts of Python 2.
      budget: of what the pickle makes.
    """

    dispatch = pickle._Unpickler.dispatch.copy()

    def __init__(self, file: Any, *, encoding: str, budget: Budget):
        super().__init__(file, encoding=encoding)
        self.budget = budget
        self._kinds: dict[str, type] = {}
        self._makers: dict[tuple[str, str], Callable] = {
            ("collections", "OrderedDict"): self._make_ordered,
            ("collections", "defaultdict"): lambda *args: {},  # the default is dropped
            ("_codecs", "encode"): self._encode,  # how the old protocols write bytes
            ("copyreg", "_reconstructor"): _reconstruct,  # how Python 2 wrote objects
            ("builtins", "bytes"): self._make_bytes,
            ("builtins", "set"): self._make_set,
            ("builtins", "frozenset"): lambda values=(): frozenset(self._make_set(values)),
            ("builtins", "list"): self._make_list,
            ("builtins", "dict"): self._make_ordered,
        }

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; refuses every other name."""
        module = {"copy_reg": "copyreg", "__builtin__": "builtins"}.get(module, module)
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return self._foreign(f"chumpy.{name}")
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return self._foreign(f"sparse.{name}")
        found = _KNOWN.get((module, name)) or self._makers.get((module, name))
        if found is None:
            raise InputError(
                f"the pickle asks for {module}.{name}, which is refused: reading a file never runs what is in it. "
                "Convert the file to .npz where you trust it"
            )
        return found

    def _foreign(self, kind: str) -> type:
        if kind not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                raise InputError("it names more classes than any file of this field")
            self._kinds[kind] = _Fixed("Foreign", (Foreign,), {"kind": kind})
        return self._kinds[kind]

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "ascii", "utf-8", "utf8"):
            raise InputError("it writes bytes in an encoding that is not read")
        self.budget.spend(len(text))
        return text.encode(encoding)

    def _make_bytes(self) -> bytes:
        """How the old protocols write no bytes at all."""
        return b""

    def _make_list(self, values: Any = ()) -> list:
        if not isinstance(values, list | tuple | set | frozenset):
            raise InputError("it makes a list of something else than a list")
        self.budget.spend(8 * len(values))
        return list(values)

    def _make_set(self, values: Any = ()) -> set:
        values = self._make_list(values)
        for value in values:
            check_key(value)
        return set(values)

    def _make_ordered(self, pairs: Any = ()) -> dict:
        out = collections.OrderedDict()
        for key, value in self._make_list(pairs):
            check_key(key)
            out[key] = value
        return out

    # Instructions. `self.stack` is what has come since the last mark; `pop_mark` of the base class takes it off.

    def load_build(self) -> None:
        """Gives an object its state: the stand-ins keep it, dictionaries have attributes that mean nothing here."""
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Inert):
            made.__setstate__(state)
        elif not isinstance(made, collections.OrderedDict):
            self.set_state(made, state)

    def set_state(self, made: Any, state: Any) -> None:
        """What other stand-ins of a subclass do with a state; refuses here."""
        raise InputError("it tries to change an object of a kind that the files of this field do not hold")

    def load_setitem(self) -> None:
        """One entry of a dictionary."""
        check_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Entries of a dictionary."""
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        """A dictionary of entries."""
        self._check_keys(self.stack[::2])
        super().load_dict()

    def load_additems(self) -> None:
        """Members of a set."""
        self._check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        """A frozen set of members."""
        self._check_keys(self.stack)
        super().load_frozenset()

    def _check_keys(self, keys: list) -> None:
        for key in keys:
            check_key(key)

    def load_reduce(self) -> None:
        """A call, which is of a stand-in."""
        self._check_arguments(self.stack[-1])
        super().load_reduce()

    def load_newobj(self) -> None:
        """An object by its class's `__new__`."""
        self._check_arguments(self.stack[-1])
        made = self.stack[-2]
        if made in (self._make_ordered, self._make_list, self._make_set):  # the builtins, whose arguments come later
            self.stack[-2:] = [made()]
        else:
            super().load_newobj()

    def load_newobj_ex(self) -> None:
        """An object by its class's `__new__` with named arguments, which none of the stand-ins has."""
        raise InputError("it makes an object in a way that the files of this field do not use")

    def load_ext(self) -> None:
        """A name by a number of this process's own registry."""
        raise InputError("it uses numbers for names, which files of this field do not")

    def load_bytearray8(self) -> None:
        """A bytearray; the base class reserves what the file promises before it looks whether it is there."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def _check_arguments(self, args: Any) -> None:
        if not isinstance(args, tuple) or len(args) > _MOST_ARGUMENTS:
            raise InputError("it calls something with arguments that are none")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = load_ext
    del _code


def _reconstruct(made: Any, base: Any, state: Any) -> Foreign:
    if not (isinstance(made, type) and issubclass(made, Foreign)):
        raise InputError("it makes an object of a kind that the files of this field do not hold")
    return made()
