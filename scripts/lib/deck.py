"""Reads decks as the program does (docs/deck.md), for the scripts that need to know what a run shall do.

Only what the scripts use is checked; the program itself is the judge of a deck.
"""
import dataclasses
import pathlib
import re


class DeckError(Exception):
    pass


@dataclasses.dataclass
class LayerSpec:
    """One line `layer = KIND [name=] [from=a,b] [key=value ...]`."""
    kind: str
    name: str
    inputs: list  # names of `from`; empty: the layer before
    options: dict
    text: str


def parse_layer(text):
    words = text.split()
    if not words:
        raise DeckError("a layer line is empty")
    options = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise DeckError(f"layer '{text}': '{word}' is not key=value")
        options[key] = value
    inputs = [name for name in options.pop("from", "").split(",") if name]
    return LayerSpec(words[0], options.pop("name", ""), inputs, options, text)


def number(text):
    """A real number; fractions such as 1/255 are allowed."""
    numerator, _, denominator = str(text).partition("/")
    return float(numerator) / (float(denominator) if denominator else 1.0)


def boolean(text):
    word = str(text).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise DeckError(f"'{text}' is neither true nor false")


def shape(text):
    return tuple(int(n) for n in text.split("x"))


def without_comment(line):
    """The line up to the first '#', with the escapes for '#' and the backslash undone."""
    plain, characters = "", iter(line)
    for c in characters:
        if c == "#":
            break
        plain += next(characters, "") if c == "\\" else c
    return plain.strip()


class Block:
    """The lines below one [block NAME]."""

    def __init__(self):
        self.lines, self.defaults = [], {}


class Deck:
    def __init__(self, text, origin="deck", overrides=()):
        self.origin = origin
        self.values = {}
        self.layers = []
        self.lines = []  # `layer` lines of [model]
        self.blocks = {}
        section = ""
        for line_number, line in enumerate(text.splitlines(), 1):
            line = without_comment(line)
            if not line:
                continue
            if line.startswith("[") and line.endswith("]"):
                section = re.sub(r"\s+", ".", line[1:-1].strip()) if not line[1:].startswith("block") else line[1:-1].strip()  # [array NAME]: array.NAME
                continue
            key, equals, value = line.partition("=")
            if not equals:
                raise DeckError(f"{origin}:{line_number}: '{line}' is neither a section nor key = value")
            kind, _, block = section.partition(" ")
            if kind == "block":
                self.blocks.setdefault(block.strip(), Block())
                self._define(self.blocks[block.strip()], key.strip(), value.strip())
            else:
                self._set(f"{section}.{key.strip()}", value.strip())
        for item in overrides:
            key, equals, value = item.lstrip("-").partition("=")
            if not equals:
                raise DeckError(f"override '{item}' is not section.key=value")
            self._set(key.strip(), value.strip())
        self._add(self.lines, "", "input", {})

    @classmethod
    def read(cls, path, overrides=()):
        return cls(pathlib.Path(path).read_text(), str(path), overrides)

    def _define(self, block, key, value):
        if key == "layer":
            block.lines.append(value)
        else:
            block.defaults[key] = value

    def _set(self, key, value):
        if key == "model.layer":
            self.lines.append(value)
        else:
            self.values[key] = value

    def _add(self, lines, prefix, given, parameters):
        """The layers that the lines stand for (src/config/detail/blocks.hpp tells how); returns the name of the last."""
        names, counts, last = {"input": given}, {}, given
        for line in lines:
            layer = parse_layer(re.sub(r"\$(\w+)", lambda match: parameters[match[1]], line))
            layer.inputs = [names.get(name, name) for name in layer.inputs]
            block = self.blocks.get(layer.kind)
            repeat = layer.options.pop("repeat", None) if block else None
            for i in range(1, int(repeat or 1) + 1):
                counts[layer.kind] = counts.get(layer.kind, 0) + (not layer.name)
                name = layer.name + (f".{i}" if repeat else "") if layer.name else f"{layer.kind}{counts[layer.kind]}"
                if block:
                    source = layer.inputs[0] if layer.inputs and i == 1 else last
                    last = self._add(block.lines, f"{prefix}{name}.", source, {**block.defaults, **layer.options})
                else:
                    last = prefix + name
                    if not layer.inputs and len(names) == 1 and prefix:
                        layer.inputs = [given]
                    self.layers.append(dataclasses.replace(layer, name=last))
                names[name] = last
            if layer.name:
                names[layer.name] = last
        return last

    def text(self, key, fallback=None):
        if key in self.values:
            return self.values[key]
        if fallback is None:
            raise DeckError(f"{self.origin}: '{key}' is needed and not given")
        return fallback

    def real(self, key, fallback=None):
        return number(self.text(key, fallback))

    def integer(self, key, fallback=None):
        return int(self.text(key, fallback))

    def boolean(self, key, fallback=None):
        return boolean(self.text(key, fallback))

    def reals(self, key, fallback=""):
        return [number(item) for item in self.text(key, fallback).split(",") if item.strip()]
