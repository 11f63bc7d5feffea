"""Kinds: types of parameter values. Each checks a value, parses one from an option's text, and describes itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nanoae.autoencoders.plan import AUTO
from nanoae.configurable import parse_spec, usage
from nanoae.interval import Interval
from nanoae.spelling import did_you_mean, one_of


class Kind:
    """Any value. Subclasses restrict it; those with a `read` can be command-line options."""

    # Parse a value from text; ValueError if the text is invalid
    read: Callable[[str], Any] | None = None
    metavar = "NAME"  # placeholder in the help of an option
    texts = "names"  # description of the texts that `read` accepts
    takes = ""  # description of the accepted values, for tables of parameters
    is_to = " to be "  # joins a parameter's name and `takes` in messages
    known: Any = ()  # accepted names, or a mapping from them to values

    @property
    def usage(self) -> str:
        """The accepted names, as text."""
        return usage(dict(self.known))

    def holds(self, value: Any) -> bool:
        """Return True if the value is accepted."""
        return True

    def check(self, who: str, name: str, value: Any) -> None:
        """Raise ValueError, naming the estimator and the parameter, if the value is not accepted."""
        if not self.holds(value):
            raise ValueError(f"{who}: expected {name}{self.is_to}{self.takes}, got {value!r}.")

    def meant(self, value: Any) -> Any:
        """Resolve a value: return the part that a text names, or the value itself."""
        return value


def made(factory: Any) -> Any:
    """Return factory(), or the factory itself if it needs arguments."""
    try:
        return factory()
    except TypeError:
        return factory


class Integer(Kind):
    """A whole number >= least."""

    read = int
    metavar, texts = "N", "whole numbers"

    def __init__(self, least: int = 1) -> None:
        self.interval = Interval(f"[{least}, inf)")
        self.takes = f"a whole number >= {least}"

    def holds(self, value: Any) -> bool:
        return isinstance(value, (int, np.integer)) and value in self.interval


class Number(Kind):
    """A finite number >= 0, or one in an interval such as "[0, 1)"."""

    read = float
    metavar, texts = "X", "numbers"

    def __init__(self, interval: str = "[0, inf)") -> None:
        self.interval = Interval(interval)
        words = self.interval.words
        self.takes = f"a number {words}" if words.startswith(">") else words
        self.is_to = " " if self.takes is words else " to be "

    def holds(self, value: Any) -> bool:
        return value in self.interval


class Flag(Kind):
    """True or False; texts such as "no" are not accepted as values."""

    texts = "true or false"
    takes = "True or False"

    @staticmethod
    def read(text: str) -> Any:
        return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]

    def holds(self, value: Any) -> bool:
        return isinstance(value, (bool, np.bool_, int, np.integer)) and value in (0, 1)


class Name(Kind):
    """One of the known names, or an instance of `other`, described by `hint` ("a Loss"), or a subclass or function
    without arguments that makes one."""

    read = str

    def __init__(
        self, known: Mapping[str, Any] | tuple[str, ...], other: type | None = None, hint: str = ""
    ) -> None:
        self.known = known
        self.other = other
        self.hint = hint and f", or {hint}"
        self.takes = self.usage + self.hint

    @property
    def usage(self) -> str:
        return ", ".join(self.known)

    def meant(self, value: Any) -> Any:
        if self.other is None or not callable(value) or isinstance(value, self.other):
            return value
        names = [name for name in self.known if self.known[name] is value]
        return names[0] if names else made(value)

    def check(self, who: str, name: str, value: Any) -> None:
        value = self.meant(value)
        if not isinstance(value, self.other or ()):
            one_of(f"{who}: {name}", value, self.known, self.hint)


class Text(Kind):
    """A name that is resolved later, or an instance of one of the given classes."""

    read = str
    takes = "a name"

    def __init__(self, *others: type) -> None:
        self.others = others

    def holds(self, value: Any) -> bool:
        return isinstance(value, (str, *self.others))


def listed(text: str, kind: type) -> tuple[Any, ...]:
    """Parse numbers written as 128,64 or 128x64."""
    return tuple(map(kind, text.replace("x", ",").split(",")))


class Widths(Kind):
    """A list of `least` or more whole numbers >= 1; as text 128,64 or 128x64, or none."""

    metavar, texts = "N,N", "widths like 128x64"
    takes = "a list of widths"

    def __init__(self, least: int = 0) -> None:
        self.least = least

    @staticmethod
    def read(text: str) -> Any:
        return () if text == "none" else listed(text, int)

    def holds(self, value: Any) -> bool:
        return isinstance(value, (list, tuple))

    def check(self, who: str, name: str, value: Any) -> None:
        super().check(who, name, value)
        if len(value) < self.least:
            raise ValueError(f"{who}: expected {name}, a width for each layer, got none.")
        for i, width in enumerate(value):
            Integer().check(who, f"{name}[{i}]", width)


class Shares(Kind):
    """One fraction in [0, 1), or a pair: (of the inputs, of the hidden layers)."""

    metavar, texts = "X", "fractions like 0.5 or 0.2x0.5"
    takes = "a fraction in [0, 1) for the hidden layers, or two: (inputs, hidden layers)"
    is_to = ", "

    @staticmethod
    def read(text: str) -> Any:
        found = listed(text, float)
        return found if len(found) > 1 else found[0]

    def holds(self, value: Any) -> bool:
        shares = value if isinstance(value, (list, tuple)) else (0.0, value)
        return len(shares) == 2 and all(share in Interval("[0, 1)") for share in shares)


class Configured(Kind):
    """None, or an instance of `base`: one of the known classes or a user's own."""

    texts = "parts"

    def __init__(self, base: type, known: Mapping[str, type], example: str) -> None:
        self.base = base
        self.known = dict(known)
        self.example = example
        self.takes = f"None, or one like {example}"

    def read(self, text: str) -> Any:
        """Parse a part such as "kl:0.05,0.1"; several, one per layer, are separated by "/"."""
        if "/" in text:
            return [self.read(one) for one in text.split("/")]
        return None if text == "none" else parse_spec(text, self.known)

    def meant(self, value: Any) -> Any:
        if isinstance(value, type) and issubclass(value, self.base):
            return made(value)
        return self.read(value) if isinstance(value, str) else value

    def check(self, who: str, name: str, value: Any) -> None:
        value = made(value) if isinstance(value, type) else value
        if isinstance(value, str) and (set(":/") & set(value) or value in (*self.known, "none")):
            try:
                value = self.meant(value)
            except ValueError as error:
                raise ValueError(f"{who}: {name}: {error}") from None
        if value is not None and not isinstance(value, self.base):
            hint = did_you_mean(value, [cls.__name__ for cls in self.known.values()])
            raise ValueError(
                f"{who}: expected {name}=None or one like {self.example}, got {value!r}.{hint}"
            )


class Rate(Kind):
    """A number >= 0, or a schedule: a function of the training step."""

    metavar, texts = "X", "rates"
    takes = "a number >= 0, or a schedule: a function of the step and the number of steps"

    def __init__(self, schedules: Mapping[str, type]) -> None:
        self.known = dict(schedules)

    def read(self, text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return parse_spec(text, self.known)

    def holds(self, value: Any) -> bool:
        try:
            inspect.signature(value).bind(1, 1)
        except (TypeError, ValueError):
            return False
        return True

    def check(self, who: str, name: str, value: Any) -> None:
        if callable(value):
            super().check(who, name, value)
        else:
            Number().check(who, name, value)


class Listed(Kind):
    """A list of at least `least` items for which `right` holds; `words` describes it."""

    is_to = ", "

    def __init__(self, words: str, right: Callable[[Any], bool], least: int = 0) -> None:
        self.takes = words
        self.right = right
        self.least = least

    def holds(self, value: Any) -> bool:
        listed = isinstance(value, (list, tuple)) and len(value) >= self.least
        return listed and all(map(self.right, value))


class Seed(Kind):
    """None, a whole number >= 0, or a generator; checked later, by `seed_of`."""

    metavar, texts = "N", "whole numbers >= 0"
    takes = "None, a whole number >= 0, or a generator"

    @staticmethod
    def read(text: str) -> int:
        if int(text) < 0:
            raise ValueError
        return int(text)


class Around(Kind):
    """Base of kinds that extend another kind and parse text like it."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.read = kind.read
        self.metavar = kind.metavar
        self.texts = kind.texts

    @property
    def usage(self) -> str:
        return self.kind.usage

    def meant(self, value: Any) -> Any:
        return self.kind.meant(value)


class Maybe(Around):
    """None, or a value of another kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.takes = f"None, or {kind.takes}"

    def check(self, who: str, name: str, value: Any) -> None:
        if value is not None:
            self.kind.check(who, name, value)


class Auto(Around):
    """A value of another kind, or "auto": chosen from the training rows (`plan.py`)."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.read = self.read_auto
        self.texts = f"{kind.texts}, or auto"
        self.takes = f"{kind.takes}, or auto"

    def read_auto(self, text: str) -> Any:
        return text if text == AUTO or self.kind.read is None else self.kind.read(text)

    def check(self, who: str, name: str, value: Any) -> None:
        if not isinstance(value, str):
            self.kind.check(who, name, value)
        elif value != AUTO:
            known = self.kind.known
            also = "" if known else f", or {self.kind.takes}"
            one_of(f"{who}: {name}", value, (*known, AUTO), also)


class OneOrMore(Around):
    """A value of another kind, or a list of such values; separated by "/" in text."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.takes = f"{kind.takes}; or a list of these"

    def meant(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self.kind.meant(each) for each in value]
        return self.kind.meant(value)

    def check(self, who: str, name: str, value: Any) -> None:
        value = value.split("/") if isinstance(value, str) else value
        listed = value if isinstance(value, (list, tuple)) else [value]
        for each in listed:
            self.kind.check(who, name, each)
        if not listed:
            raise ValueError(f"{who}: expected {name}, one or more, got none.")
