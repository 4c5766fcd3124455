"""Decks that tests share, and how they are put together. Python's standard library only.

Keys are given section by section, as data={"batch": 31} or as lines, and layers as a list; `{name}` in them is left for str.format().
"""

SECTIONS = ("run", "task", "data", "model", "loss", "optimizer", "schedule", "train", "parallel", "checkpoint")


def deck(shape, layers, **sections):
    """The text of a deck whose model has this input and these layers. A layer that begins with "{" stands for whole lines; a key that is None is left out."""
    unknown = set(sections) - set(SECTIONS)
    assert not unknown, f"no such section: {unknown}"
    lines = []
    for section in SECTIONS:
        given = sections.get(section, {})
        keys = [given] if isinstance(given, str) else [f"{key} = {value}" for key, value in given.items() if value is not None]
        if section == "model":
            keys = [f"input = {shape}", *keys, *(layer if layer.startswith("{") else f"layer = {layer}" for layer in layers)]
        if keys:
            lines += [f"[{section}]", *keys]
    return "\n" + "\n".join(lines) + "\n"


def digits(layers, data=None, **sections):
    """A deck for the data set of ProgramTest.make_digits(), whose folder is {data}."""
    ends = {"train": "{data}/train", "test": "{data}/test"}
    return deck("1x28x28", layers, data={**ends, **(data or {}), "scale": "1/255"}, **sections)


def endless(steps, **more):
    """[train] of a run that ends after so many steps and records each."""
    return {"epochs": 1000, "steps": steps, "log_every": 1, **more}
