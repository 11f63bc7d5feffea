"""Kinds: what a parameter may be. Each checks a value, reads one from the text of an option, and says what it takes."""

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
    """Any value. Subclasses say which; those with a `read` can be options of the command line."""

    # the value that a text means; ValueError for one that means none
    read: Callable[[str], Any] | None = None
    metavar = "NAME"  # of an option
    texts = "names"  # that `read` takes, in words
    takes = ""  # what it takes, for a table of parameters
    is_to = " to be "  # what stands between a parameter's name and that
    known: Any = ()  # the names that a text may have, perhaps with what they stand for

    @property
    def usage(self) -> str:
        """What may be said in a text, where these are names."""
        return usage(dict(self.known))

    def holds(self, value: Any) -> bool:
        """Whether it may be this value."""
        return True

    def check(self, who: str, name: str, value: Any) -> None:
        """ValueError, by the estimator's and the parameter's name, for a value that it may not be."""
        if not self.holds(value):
            raise ValueError(f"{who}: expected {name}{self.is_to}{self.takes}, got {value!r}.")

    def meant(self, value: Any) -> Any:
        """What a value stands for: a text for the part that it names, anything else for itself."""
        return value


def made(factory: Any) -> Any:
    """What a class, or a function, makes without arguments; itself where it wants some."""
    try:
        return factory()
    except TypeError:
        return factory


class Whole(Kind):
    """A whole number >= least."""

    read = int
    metavar, texts = "N", "whole numbers"

    def __init__(self, least: int = 1) -> None:
        self.interval = Interval(f"[{least}, inf)")
        self.takes = f"a whole number >= {least}"

    def holds(self, value: Any) -> bool:
        return isinstance(value, (int, np.integer)) and value in self.interval


class Number(Kind):
    """A finite number >= 0, or one in an interval, given as it is written: "[0, 1)"."""

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
    """True or False: "no" is no False."""

    texts = "true or false"
    takes = "True or False"

    @staticmethod
    def read(text: str) -> Any:
        return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]

    def holds(self, value: Any) -> bool:
        return isinstance(value, (bool, np.bool_, int, np.integer)) and value in (0, 1)


class Name(Kind):
    """One of the known names, or an object of a class, which the hint names: "a Loss"; or what makes one: a subclass,
    or a function without arguments."""

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
    """A name that is looked up where it is used, or an object of the classes that it may stand for."""

    read = str
    takes = "a name"

    def __init__(self, *others: type) -> None:
        self.others = others

    def holds(self, value: Any) -> bool:
        return isinstance(value, (str, *self.others))


def listed(text: str, kind: type) -> tuple[Any, ...]:
    """Numbers of 128,64 or 128x64."""
    return tuple(map(kind, text.replace("x", ",").split(",")))


class Widths(Kind):
    """A list of `least` or more whole numbers >= 1; as text 128,64 or 128x64, or none."""

    metavar, texts = "N,N", "widths as 128x64"
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
            Whole().check(who, f"{name}[{i}]", width)


class Shares(Kind):
    """One share in [0, 1), or two: (of the inputs, of the hidden layers)."""

    metavar, texts = "X", "shares as 0.5, or 0.2x0.5"
    takes = "one share in [0, 1) of the hidden layers, or two: (of inputs, of hidden layers)"
    is_to = ", "

    @staticmethod
    def read(text: str) -> Any:
        found = listed(text, float)
        return found if len(found) > 1 else found[0]

    def holds(self, value: Any) -> bool:
        shares = value if isinstance(value, (list, tuple)) else (0.0, value)
        return len(shares) == 2 and all(share in Interval("[0, 1)") for share in shares)


class Part(Kind):
    """None, or a part of a base class: one of the known ones, or one of the user's own."""

    texts = "parts"

    def __init__(self, base: type, known: Mapping[str, type], example: str) -> None:
        self.base = base
        self.known = dict(known)
        self.example = example
        self.takes = f"None, or one like {example}"

    def read(self, text: str) -> Any:
        """Parts like "kl:0.05,0.1"; several, one for each layer, are joined by "/"."""
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
    """A list of objects that a test holds for, said in words."""

    is_to = ", "

    def __init__(self, words: str, right: Callable[[Any], bool], least: int = 0) -> None:
        self.takes = words
        self.right = right
        self.least = least

    def holds(self, value: Any) -> bool:
        listed = isinstance(value, (list, tuple)) and len(value) >= self.least
        return listed and all(map(self.right, value))


class Seed(Kind):
    """None, a whole number >= 0, or a generator; `seed_of` checks it where it is used."""

    metavar, texts = "N", "whole numbers >= 0"
    takes = "None, a whole number >= 0, or a generator"

    @staticmethod
    def read(text: str) -> int:
        if int(text) < 0:
            raise ValueError
        return int(text)


class Around(Kind):
    """The base of a kind around another one, which it reads as."""

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
    """A value of another kind, or "auto": what suits the rows, as `plan.py` says."""

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
    """A value of another kind, or a list of such; a text has "/" between them."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.takes = f"{kind.takes}; or a list of such"

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
