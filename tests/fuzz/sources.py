"""Inputs for the fuzzer: whole ones of each kind, ways to damage them, and what they are to be read as."""

import csv
import gzip
import hashlib
import io
import math
import pathlib
import re
import shutil
import struct
import tarfile
import zipfile

import h5py
import numpy


def keep(path, kept):
    kept.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if pathlib.Path(path).is_dir() else shutil.copy)(path, kept)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def tuple_text(shape):
    return "(" + ", ".join(str(extent) for extent in shape) + ")"


def described(array, row=None):
    """As the driver says it: a tuple of one extent without a comma."""
    row = array.shape[1:] if row is None else row
    return f"{array.dtype.name} {tuple_text(row)} {sha(numpy.ascontiguousarray(array).tobytes())}"


class Input:
    def __init__(self, path, what, expected):
        self.path, self.what, self.expected = path, what, expected


def damage(draws, data):
    """(bytes, how): flipped bits, changed or extreme bytes, cuts, insertions, repeats."""
    data, how = bytearray(data), []
    for _ in range(draws.choice((1, 1, 1, 2, 5))):
        at = draws.randrange(max(1, len(data)))
        what = draws.choice(("bit", "bit", "bit", "byte", "byte", "extreme", "cut", "insert", "repeat", "zeros", "remove"))
        if not data:
            what = "insert"
        how.append(f"{what} at {at}")
        if what == "bit":
            data[at] ^= 1 << draws.randrange(8)
        elif what == "byte":
            data[at] = draws.randrange(256)
        elif what == "extreme":
            size = draws.choice((1, 2, 4, 8))
            data[at:at + size] = draws.choice((b"\xff", b"\x00", b"\x7f", b"\x80"))[:1] * size
        elif what == "cut":
            del data[at:]
        elif what == "insert":
            data[at:at] = draws.randbytes(draws.choice((1, 4, 100)))
        elif what == "repeat":
            data[at:at] = data[at:at + draws.randrange(1, 200)]
        elif what == "zeros":
            data[at:at + draws.randrange(1, 600)] = bytes(1)
        else:
            del data[at:at + draws.randrange(1, 50)]
    return bytes(data), ", ".join(how)


# --- HDF5 ---


def shard_answer(path):
    """What h5py reads of a shard, as the driver would say it; an empty set where it reads nothing."""
    try:
        with h5py.File(path, "r") as file:
            x, y = numpy.asarray(file["x"]), numpy.asarray(file["y"])
    except Exception:  # h5py raises whatever it likes
        return None
    if x.ndim == 0 or y.ndim == 0 or x.dtype.kind not in "iufb" or y.dtype.kind not in "iufb":
        return None
    native = lambda a: numpy.ascontiguousarray(a.astype(a.dtype.newbyteorder("=")))
    x, y = native(x), native(y)
    x = x.astype("f4") if x.dtype == numpy.float16 else x.astype("u1") if x.dtype == bool else x
    y = y.astype("f4") if y.dtype == numpy.float16 else y.astype("u1") if y.dtype == bool else y
    label = () if math.prod(y.shape[1:]) == 1 else y.shape[1:]
    return f"{described(x)} {described(y, label)}"


class Shards:
    """With checksums an accepted shard has the values that were written. Without it has those that h5py reads."""

    kind, codes = "shard", (3,)

    def __init__(self, make, folder):
        self.files = []
        for name in ("chunked", "gzip", "contiguous", "plain"):
            path = folder / f"seed-{name}.h5"
            make("make-shard", path)
            self.files.append((name, path.read_bytes(), shard_answer(path)))

    def draw(self, draws, folder):
        path = folder / "in.h5"
        if draws.random() < 0.3:
            return self.built(draws, path)
        name, whole, answer = draws.choice(self.files)
        data, how = damage(draws, whole)
        path.write_bytes(data)

        def expected():
            found = shard_answer(path)
            rows = 37
            right = {f"{rows} checksums {answer}"}
            # A shard that lost its attribute, or one made without it, is read as h5py reads it.
            if found is not None:
                try:
                    with h5py.File(path, "r") as file:
                        right.add(f"{file['x'].shape[0]} plain {found}")
                except Exception:
                    pass
            return right

        return Input(path, f"{name}: {how}", expected)

    def built(self, draws, path):
        """Layouts, types, filters and shapes of other writers."""
        path.unlink(missing_ok=True)
        rng = numpy.random.default_rng(draws.randrange(2**32))
        rows = draws.choice((0, 1, 3, 17))
        shapes = ((), (1,), (4,), (2, 3), (1, 4, 4), (2, 2, 2, 2))
        with h5py.File(path, "w", libver=draws.choice(("earliest", "latest"))) as file:
            for name, shape in (("x", draws.choice(shapes)), ("y", draws.choice(shapes[:3]))):
                kind = numpy.dtype(draws.choice(("u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", "<i8", "<f4", ">f4", "<f8", ">f8", "<f2", "?")))
                full = (rows + (draws.random() < 0.05),) + shape
                values = rng.integers(0, 100, full).astype(kind)
                options = {}
                if rows and draws.random() < 0.6:
                    options = {"chunks": tuple(draws.randint(1, extent) for extent in full), "compression": draws.choice((None, "gzip", "lzf")),
                               "shuffle": draws.random() < 0.5, "fletcher32": draws.random() < 0.5}
                file.create_dataset(name, data=values, **options)
        return Input(path, "built", lambda: {self.of_whole(path)})

    @staticmethod
    def of_whole(path):
        found = shard_answer(path)
        with h5py.File(path, "r") as file:
            return f"{file['x'].shape[0]} plain {found}"


class Checkpoints:
    kind, codes = "checkpoint", (4,)

    def __init__(self, make, folder):
        path = folder / "step-00000012.h5"
        make("make-checkpoint", path)
        self.whole = path.read_bytes()
        answer, wrong = make("checkpoint", path)
        if wrong or not answer.startswith("ok "):
            raise RuntimeError(f"the whole checkpoint: {answer} {wrong}")
        self.answer = answer

    def draw(self, draws, folder):
        path = folder / "step-00000012.h5"
        if draws.random() < 0.2:
            path.write_bytes(self.whole)
            return Input(path, self.edit(draws, path), lambda: None)
        data, how = damage(draws, self.whole)
        path.write_bytes(data)
        return Input(path, how, lambda: {self.answer[3:]})

    @staticmethod
    def edit(draws, path):
        """Structure that HDF5 finds sound: other shapes and types where the reader expects its own."""
        with h5py.File(path, "r+") as file:
            names = []
            file.visit(names.append)
            at = file[draws.choice(names + ["/"])]
            value = draws.choice((5, -1, 2**62, 1e308, float("nan"), "text", b"x" * 3000, numpy.arange(400), numpy.zeros((2, 3)), h5py.Empty("f8")))
            what = draws.choice(("attribute", "attribute", "delete", "replace"))
            if what == "attribute":
                name = draws.choice(list(at.attrs) + ["format_version", "step", "checksum", "program", "arrays"])
                at.attrs[name] = value
                return f"attribute {name} of {at.name} = {value!r}"[:200]
            if at.name == "/":
                return "nothing"
            name = at.name
            del file[name]
            if what == "replace":
                file[name] = value if not isinstance(value, h5py.Empty) else 0
            return f"{what} {name} {value!r}"[:200]


# --- Importers ---


def gunzipped(data):
    """None where gzip refuses."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except Exception:
        return None


IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def idx_array(data):
    data = gunzipped(data)
    if data is None or len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES or data[3] == 0:
        return None
    rank = data[3]
    if len(data) < 4 + 4 * rank:
        return None
    shape = struct.unpack(f">{rank}I", data[4:4 + 4 * rank])
    kind = numpy.dtype(IDX_TYPES[data[2]])
    if rank > 32 or math.prod(shape) >= 2**63:  # numpy has no such arrays
        return None
    if math.prod(shape) * kind.itemsize != len(data) - 4 - 4 * rank:
        return None
    values = numpy.frombuffer(data, kind, offset=4 + 4 * rank).reshape(shape)
    return values.astype(kind.newbyteorder("="))


def idx_bytes(values):
    code = {numpy.dtype(kind): code for code, kind in IDX_TYPES.items()}[values.dtype]
    return bytes((0, 0, code, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


class Idx:
    kind, codes = "idx", (2, 3)

    def __init__(self, make, folder):
        pass

    def draw(self, draws, folder):
        rng = numpy.random.default_rng(draws.randrange(2**32))
        rows = draws.choice((1, 4, 30))
        shape = (rows,) + draws.choice(((), (5,), (4, 6), (1, 4, 4)))
        features = rng.integers(0, 100, shape).astype(draws.choice(list(IDX_TYPES.values())))
        labels = rng.integers(0, 10, draws.choice(((rows,), (rows,), (rows, 2)))).astype(draws.choice(list(IDX_TYPES.values())))
        target, how = draws.randrange(3), ""  # 2: nothing is damaged
        for i, (name, values) in enumerate((("train-images-idx3-ubyte", features), ("train-labels-idx1-ubyte", labels))):
            for old in folder.glob(name + "*"):
                old.unlink()
            data, packed = idx_bytes(values), draws.random() < 0.6
            if i == target and draws.random() < 0.3:
                data, how = damage(draws, data)
            if packed:
                data = gzip.compress(data, 6)
                if draws.random() < 0.1:
                    data += draws.choice((b"\0" * 10, gzip.compress(b""), b"garbage"))
            if i == target and not how:
                data, how = damage(draws, data)
            (folder / (name + (".gz" if packed else ""))).write_bytes(data)
        return Input(folder, how, lambda: self.answers(folder))

    @staticmethod
    def answers(folder):
        x, y = (idx_array(next(folder.glob(f"train-{what}-*")).read_bytes()) for what in ("images", "labels"))
        if x is None or y is None or x.shape[0] != y.shape[0]:
            return set()
        row = x.shape[1:]
        row = (1,) + row if len(row) == 2 else row or (1,)
        if y.dtype.kind in "iu":
            y, label = y.astype("i8"), y.shape[1:]
        else:
            label = y.shape[1:] or (1,)
        return {f"{x.shape[0]} {described(x, row)} {described(y, label)}"}


CIFAR_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
CIFAR_RECORDS = 3  # a file, as the driver expects


class Cifar10:
    """Archives, packed in all ways. Without a checksum (a plain tar) changed pixels are read as they stand there."""

    kind, codes = "cifar10", (3,)

    def __init__(self, make, folder):
        pass

    def draw(self, draws, folder):
        files = {}
        for name in CIFAR_FILES:
            records = [bytes((draws.randrange(10),)) + bytes(draws.randrange(4) for _ in range(64)) * 48 for _ in range(CIFAR_RECORDS)]
            files[name] = b"".join(records)
        answer = self.answer(files)
        how = draws.choice(("tar", "tar.gz", "tar.gz", "tar.bz2", "tar.xz", "zip"))
        for old in folder.iterdir():
            old.unlink()
        path = folder / f"cifar-10-binary.{how}"
        out = io.BytesIO()
        if how == "zip":
            with zipfile.ZipFile(out, "w", draws.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
                for name, data in files.items():
                    archive.writestr(f"cifar-10-batches-bin/{name}", data)
        else:
            with tarfile.open(fileobj=out, mode="w:" + how[4:]) as archive:
                for name, data in files.items():
                    info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        data, what = damage(draws, out.getvalue()) if draws.random() < 0.95 else (out.getvalue(), "nothing")
        path.write_bytes(data)
        plain = how == "tar"
        return Input(path, f"{how}: {what}", lambda: self.of_tar(data) if plain else {answer})

    @staticmethod
    def answer(files):
        parts = []
        for names in (CIFAR_FILES[:5], CIFAR_FILES[5:]):
            records = numpy.frombuffer(b"".join(files[name] for name in names), "u1").reshape(-1, 3073)
            parts.append(f"{len(records)} {described(records[:, 1:].copy(), (3, 32, 32))} {described(records[:, 0].astype('i8'), ())}")
        return " ".join(parts)

    @classmethod
    def of_tar(cls, data):
        """Nothing to compare with where Python's reader and ours may part ways about what is left of the archive."""
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                files = {pathlib.Path(m.name).name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
            return {cls.answer({name: files[name] for name in CIFAR_FILES})}
        except Exception:
            return None


class Csv:
    """Where Python's csv reader and ours see the same fields, they are the same numbers."""

    kind, codes = "csv", (3,)

    def __init__(self, make, folder):
        pass

    def draw(self, draws, folder):
        for old in folder.iterdir():
            old.unlink()
        columns, separator = draws.randint(2, 6), draws.choice(",;\t")
        number = lambda: draws.choice((str(draws.randint(-99, 99)), f"{draws.uniform(-1, 1):.6g}", f"{draws.uniform(0, 1):.3e}", f'"{draws.randint(0, 9)}"'))
        lines = [separator.join(number() for _ in range(columns)) for _ in range(draws.randint(1, 30))]
        if draws.random() < 0.3:
            lines.insert(0, separator.join(f"name{i}" for i in range(columns)))
        text = draws.choice(("\n", "\r\n")).join(lines).encode()
        packed, how = draws.random() < 0.5, ""
        if draws.random() < 0.4:
            text, how = self.damaged_text(draws, text)
        if packed:
            text = gzip.compress(text)
            if not how:
                text, how = damage(draws, text)
        path = folder / ("in.csv.gz" if packed else "in.csv")
        path.write_bytes(text)
        return Input(path, how or "whole", lambda: self.answers(text, separator))

    @staticmethod
    def damaged_text(draws, text):
        at = draws.randrange(len(text))
        if draws.random() < 0.5:
            return damage(draws, text)
        token = draws.choice((b'"', b'""', b",", b";", b"\n", b"nan", b"inf", b"1e999", b"-", b"+", b"0x10", b"\xef\xbb\xbf", b"#", b"\0", b"e", b" "))
        return text[:at] + token + text[at:], f"{token!r} at {at}"

    @staticmethod
    def answers(data, separator):
        text = gunzipped(data)
        if text is None:
            return set()
        try:
            # Whole quoted numbers and line ends of two characters are as good as none; other quotes are left to the reader.
            text = re.sub(r'"(\d+)"', r"\1", text.decode("ascii")).replace("\r\n", "\n")
            if any(c in text for c in '"#\r\0') or any(other in text for other in " ,;\t" if other != separator):
                return None
            rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if row]
            if rows and all(not numeric(field) for field in rows[0]):
                rows = rows[1:]
            values = numpy.array([[float(field) for field in row] for row in rows])
            if values.ndim != 2 or not numpy.isfinite(values).all() or any("_" in field for row in rows for field in row):
                return set()
        except ValueError:
            return None
        with numpy.errstate(over="ignore"):
            values = values.astype("f4")
        return {f"{len(values)} {described(values[:, :-1].copy())} {described(values[:, -1:].copy())}"}


def numeric(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


# --- Decks ---


class Decks:
    """Any text: refused with code 2, or resolved to a deck that resolves to itself (the driver looks)."""

    kind, codes = "deck", (2,)

    def __init__(self, make, folder):
        root = pathlib.Path(__file__).resolve().parents[2]
        self.decks = [path.read_bytes() for path in sorted((root / "inputs").rglob("*.ini"))]
        text = b"\n".join(self.decks).decode()
        self.lines = sorted({line for line in text.splitlines() if "=" in line})

    def draw(self, draws, folder):
        data, how = draws.choice(self.decks), []
        for _ in range(draws.randint(1, 3)):
            if draws.random() < 0.4:
                data, what = damage(draws, data)
            else:
                lines = data.split(b"\n")
                at = draws.randrange(len(lines))
                key, _, value = lines[at].partition(b"=")
                what = draws.choice(("line", "value", "swap", "double", "drop"))
                if what == "line":
                    lines.insert(at, draws.choice(self.lines).encode())
                elif what == "value":
                    lines[at] = key + b"=" + draws.choice((b"", b"-1", b"0", b"9223372036854775807", b"1e308", b"nan", b"1/0", b"true", b"x" * 5000, b"1x" * 50,
                                                          b"$x$x", b"[" * 300, value + b"0", value.strip() + b"," + value))
                elif what == "swap":
                    other = draws.randrange(len(lines))
                    lines[at], lines[other] = lines[other], lines[at]
                elif what == "double":
                    lines[at:at] = [lines[at]] * draws.choice((1, 1000))
                else:
                    del lines[at]
                data = b"\n".join(lines)
            how.append(what)
        path = folder / "in.ini"
        path.write_bytes(data)
        return Input(path, ", ".join(how), lambda: None)


def all_sources(make, scratch):
    """`make`(kind, path) asks the driver."""
    kinds = {"shard": Shards, "checkpoint": Checkpoints, "idx": Idx, "cifar10": Cifar10, "csv": Csv, "deck": Decks}
    return {name: kind(make, scratch) for name, kind in kinds.items()}
