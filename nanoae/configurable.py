"""Configurable: the base of layers, losses, optimisers and schedules, whose constructors only store their arguments.

An object that only stores its arguments can be printed, written as JSON and built again. Saved models, copies in
another precision and scikit-learn's `clone` all use this one mechanism.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from nanoae.former import CLASSES, alias, former_names, warn_former
from nanoae.interval import Interval
from nanoae.spelling import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:
    Self = Any

    def dataclass_transform(**_: Any) -> Any:
        return lambda decorator: decorator


T = TypeVar("T", bound=type)
KINDS = {"int": "a whole number", "float": "a number", "bool": "True or False"}
DEEPEST = 32  # levels of nested parts and lists allowed in a file


class Configurable:
    """Base class of objects that are described by their constructor's arguments.

    Arguments annotated as int, float or bool are checked, and so are the ranges in `bounds`: ValueError otherwise.

    bounds   argument -> the interval its value must lie in, for example {"p": "[0, 1)"}
    """

    bounds: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for old, new in former_names(cls).items():
            if old in vars(cls):
                warn_former(f"{cls.__name__}.{old}", new)
                setattr(cls, new, vars(cls)[old])
            setattr(cls, old, alias(old, new))
        if "__init__" in vars(cls):
            cls.__init__ = checked(cls.__init__, cls.bounds)  # type: ignore[method-assign]

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as stored. Raise AttributeError if the constructor did not store one."""
        kind = type(self)
        for name in arguments(kind):  # type: ignore[arg-type]
            if not hasattr(self, name):
                raise AttributeError(
                    f"{kind.__name__}: expected the constructor to store its argument: self.{name} = {name}, got none."
                )
        return {name: getattr(self, name) for name in arguments(kind)}  # type: ignore[arg-type]

    def learned(self) -> dict[str, Any]:
        """Return what `fit` learned, by name: the attributes that end in "_"."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def mistake(self, expected: str, got: object, hint: str = "") -> ValueError:
        """Return a ValueError in the standard form: who, what was expected, what was given, and what to do."""
        return ValueError(f"{self}: expected {expected}, got {got}.{hint and f' {hint}'}")

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        texts = {name: repr(value) for name, value in self.config().items()}
        changed = [
            f"{name}={text}"
            for name, text in texts.items()
            if text != repr(parameters[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


@dataclass_transform()
def configurable(kind: T) -> T:
    """Class decorator: make a Configurable a dataclass, whose fields are its constructor's arguments."""
    cls: Any = dataclasses.dataclass(eq=False, repr=False)(kind)
    bounds: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        bounds |= vars(base).get("bounds", {})
    cls.__init__ = checked(cls.__init__, bounds)
    return kind


def checked(init: Any, bounds: dict[str, str]) -> Any:
    """Wrap a constructor so that it refuses arguments of the wrong kind (int, float, bool) or out of range."""
    annotated = inspect.get_annotations(init).items()
    kinds = {name: kind for name, kind in annotated if kind in KINDS}
    intervals = {name: Interval(ends) for name, ends in bounds.items()}
    if not kinds and not intervals:
        return init

    def refuse(part: Any, name: str, wanted: str, value: Any) -> None:
        raise ValueError(f"{type(part).__name__}: expected {name}{wanted}, got {value!r}.")

    @functools.wraps(init)
    def constructor(self: Any, *args: Any, **kwargs: Any) -> None:
        for old, new in former_names(type(self)).items():
            if old in kwargs and new not in kwargs:
                warn_former(f"{type(self).__name__}: {old}", new)
                kwargs[new] = kwargs.pop(old)
        signature = inspect.signature(init)  # computed here to keep `import nanoae` fast
        given = signature.bind(self, *args, **kwargs).arguments
        numbers = {name: given[name] for name in kinds if name in given}
        for name, value in numbers.items():
            if kinds[name] == "bool":
                right = value in (True, False)
            else:
                right = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not right:
                refuse(self, name, f", {KINDS[kinds[name]]}", value)
        for name, interval in intervals.items():
            value = given.get(name)
            if value is not None and not callable(value) and value not in interval:
                optional = " or None" if signature.parameters[name].default is None else ""
                refuse(self, name, f" {interval.words}{optional}", value)
        init(self, *args, **kwargs)  # may raise a more specific error
        for name, value in numbers.items():
            if kinds[name] == "int" and value != round(value):
                refuse(self, name, f", {KINDS['int']}", value)

    return constructor


def to_config(value: Any, among: list[Any] | None = None, by_name: bool = True) -> Any:
    """Return `value` as JSON-ready data. A Configurable becomes {"type": its class, **config}.

    A reference to one of the parts in `among`, such as a tied weight, becomes {"part": its index}. Inside an object
    that has an `encoder`, a list of layers, `among` is that list. Raise TypeError for a value that cannot be written.
    """
    if isinstance(value, Configurable):
        config = value.config()
        among = config.get("encoder") or among
        numbers = {id(part): i for i, part in enumerate(among or [])}
        kind = type(value)
        written: dict[str, Any] = {"type": name_of(kind) if by_name else kind}
        for name, own in config.items():
            if id(own) in numbers:
                written[name] = {"part": numbers[id(own)]}
            else:
                written[name] = to_config(own, among, by_name)
        return written
    if isinstance(value, (list, tuple)):
        return [to_config(item, among, by_name) for item in value]
    if isinstance(value, dict):  # JSON would turn the keys into strings
        pairs = []
        for key, item in value.items():
            pairs.append([to_config(key), to_config(item, among, by_name)])
        return {"dict": pairs}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"to_config: expected numbers, text, lists or parts of nanoae, got {type(value).__name__} {value!r}."
    )


def from_config(
    description: Any,
    among: list[Any] | None = None,
    known: dict[str, type] | None = None,
    depth: int = DEEPEST,
) -> Any:
    """Rebuild what `to_config` described. Lists of numbers come back as tuples. Raise ValueError for an unknown class.

    known   the classes by name (None: `registry`)
    """
    if depth == 0:
        raise ValueError(
            f"from_config: expected parts within parts up to {DEEPEST} deep, got deeper ones."
        )
    depth -= 1
    if isinstance(description, list):
        items = [from_config(item, among, known, depth) for item in description]
        parts = any(isinstance(item, Configurable) for item in items)
        return items if parts else tuple(items)
    if not isinstance(description, dict):
        return description
    if description.keys() == {"dict"}:
        return {
            from_config(key): from_config(item, among, known, depth)
            for key, item in description["dict"]
        }
    if "part" in description:
        number = description["part"]
        if type(number) is not int or not 0 <= number < len(among or []):
            raise ValueError(
                f"from_config: expected the number of one of {len(among or [])} layers, got {number!r}."
            )
        return among[number]  # type: ignore[index]
    kind = description.get("type")
    if not isinstance(kind, type):
        known = registry() if known is None else known
        if isinstance(kind, str) and kind not in known:
            kind = CLASSES.get(kind, kind)
        if not isinstance(kind, str) or kind not in known:
            hint = did_you_mean(kind, known) or " For your own class: load(path, parts=[...])."
            raise ValueError(f"part: expected a class of nanoae, got {kind!r}.{hint}")
        kind = known[kind]
    config = {k: v for k, v in description.items() if k != "type"}
    encoder: list[Any] = []
    # Built first, since layers of the decoder may be tied to it.
    for layer in config.pop("encoder", None) or []:
        encoder.append(from_config(layer, encoder, known, depth))
    given: dict[str, Any] = {"encoder": encoder} if encoder else {}
    among = encoder or among
    former = former_names(kind)
    for name, own in config.items():
        given[former.get(name, name)] = from_config(own, among, known, depth)
    return kind(**given)


def to_configs(parts: list[Any]) -> list[dict[str, Any]]:
    """Describe a list in which each part may refer to earlier ones. "type" holds the class itself: not for files."""
    return [to_config(part, among=parts, by_name=False) for part in parts]


def from_configs(descriptions: list[dict[str, Any]]) -> list[Any]:
    parts: list[Any] = []
    for description in descriptions:
        parts.append(from_config(description, among=parts))
    return parts


def config_snapshot(value: Any, seen: set[int] | None = None) -> Any:
    """Return the constructor arguments of a Configurable, nested ones included, in a form that can be compared.

    Arguments stored under another name, and values that are neither numbers nor text, are left out.
    """
    seen = set() if seen is None else seen
    if isinstance(value, Configurable):
        if id(value) in seen:
            return None
        seen.add(id(value))
        kind = type(value)
        own = vars(value)
        names = arguments(kind)  # type: ignore[arg-type]
        stored = [name for name in names if name in own]
        return kind, {name: config_snapshot(own[name], seen) for name in stored}
    if isinstance(value, (list, tuple)):
        return [config_snapshot(item, seen) for item in value]
    if isinstance(value, dict):
        return {key: config_snapshot(item, seen) for key, item in value.items()}
    return value if isinstance(value, (bool, int, float, str, np.generic)) else None


def kinds_in(settings: Any) -> Iterator[type]:
    """Yield the classes of the Configurables in a `config_snapshot`."""
    items = settings.values() if isinstance(settings, dict) else settings
    for item in items:
        if isinstance(item, type):
            yield item
        elif isinstance(item, (list, tuple, dict)):
            yield from kinds_in(item)


@functools.cache
def arguments(kind: type) -> tuple[str, ...]:
    """Return the names of a constructor's arguments."""
    return tuple(inspect.signature(kind).parameters)


def registry(parts: Sequence[type] = ()) -> dict[str, type]:
    """Return all Configurable classes of nanoae by name, together with the user's own classes in `parts`."""
    found: dict[str, type] = {}
    todo: list[type] = [Configurable]
    while todo:
        subclasses: list[type] = todo.pop().__subclasses__()
        for cls in subclasses:
            if cls.__module__.startswith("nanoae."):
                found[cls.__name__] = cls
            todo.append(cls)
    return found | {part.__name__: part for part in parts}


def name_of(kind: type) -> str:
    """Return the name of a class in files. Raise ValueError if nanoae has another class of this name, or had one."""
    name = kind.__name__
    if name in CLASSES or registry().get(name, kind) is not kind:
        raise ValueError(
            f"{name}: expected a class of your own with a name of its own, got one of nanoae's. Rename it."
        )
    return name


def numbers(kind: type) -> dict[str, type]:
    """Return the leading numeric arguments of a constructor with their types: {"target": float, ...}."""
    found: dict[str, type] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if str(parameter.annotation) not in ("int", "float"):
            break
        found[name] = {"int": int, "float": float}[str(parameter.annotation)]
    return found


def usage(known: dict[str, type]) -> str:
    """Return the forms that `parse_spec` accepts: "l1:WEIGHT, kl:TARGET,WEIGHT"."""
    forms = []
    for name, kind in known.items():
        wanted = ",".join(numbers(kind)).upper()
        forms.append(f"{name}:{wanted}" if wanted else name)
    return ", ".join(forms)


def parse_spec(text: str, known: dict[str, type]) -> Any:
    """Build the part that `text` describes: "kl:0.05,0.1" gives KLSparsity(0.05, 0.1).

    The text is a name from `known`, followed by the leading numeric arguments in order. ":" and "," both separate them.
    Raise ValueError, naming the accepted forms, for any other text.
    """
    name, *words = re.split("[:,]", text)
    if name not in known:
        raise ValueError(
            f"expected one of {usage(known)}; got {text!r}.{did_you_mean(name, known)}"
        )
    kind = known[name]
    wanted = numbers(known[name])
    try:
        if len(words) > len(wanted):
            raise TypeError
        values = [number(word) for number, word in zip(wanted.values(), words, strict=False)]
        inspect.signature(kind).bind(*values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected {usage({name: kind})}, numbers, got {text!r}.") from error
    return kind(*values)
