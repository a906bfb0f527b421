"""Folders of images, one per class: which of them are parts of the set, which are classes, and which are neither."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from archgrad.data.encoded import ImageFiles
from archgrad.data.found import Found, Part
from archgrad.data.splits import TEST, TRAIN, VALIDATION, choose, is_hidden, listing, role
from archgrad.errors import ArchgradError

_FORMATS = "jpg jpeg jpe jfif png webp bmp gif tif tiff ppm pgm pbm pnm jp2 avif"
EXTENSIONS = frozenset(f".{name}" for name in _FORMATS.split())
DEPTH = 50
"""Folders inside each other, as an end to links that lead to themselves."""


@dataclass(eq=False)
class Folder:
    """A folder with what is visible in it."""

    path: Path
    images: list[Path] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    others: int = 0
    """Files that are no images."""

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def count(self) -> int:
        """Images in it and in all folders inside."""
        return len(self.images) + sum(folder.count for folder in self.folders)

    @property
    def holding(self) -> list[Folder]:
        """Its folders that hold images."""
        return [folder for folder in self.folders if folder.count]

    def walk(self) -> Iterator[Folder]:
        """Itself and all folders inside."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def all_images(self) -> list[Path]:
        """Every image in it and inside, in order."""
        return sorted(image for folder in self.walk() for image in folder.images)


Classes = dict[str, list[Path]]
"""Class → its images."""


def read_folder(path: Path) -> Found:
    """The parts of a folder: `[PART/]CLASS/**/image.png`, or `CLASS/PART/**/image.png`.

    Parts are known by their names, in any spelling; folders that only wrap another one are looked through. A folder
    called `train` is a class where it holds no folders of its own and stands beside other classes.

    Raises ArchgradError where there are no two classes, or where it cannot be told what the folders are.
    """
    root = _unwrapped(_scanned(path))
    found, notes = _parts(root)
    (train_name, train), *others = found
    names = tuple(train)
    parts = [_part(train_name, train, names)]
    if (holding := sum(map(bool, train.values()))) < 2:
        raise ArchgradError(f"{root.path}: an image folder needs one sub-folder of images per class, found {holding}")
    empty = [name for name in names if not train[name]]
    notes += [f"no images of {listing(empty)} in {train_name}"] if empty else []
    for name, classes in others[:1]:
        foreign = [one for one in classes if classes[one] and not train.get(one)]
        if foreign:
            raise ArchgradError(f"{path}: class folder {foreign[0]!r} is in {name} and has no images in {train_name}")
        missing = [one for one in names if train[one] and not classes.get(one)]
        notes += [f"no images of {listing(missing)} in {name}"] if missing else []
        parts.append(_part(name, classes, names))
    return Found(parts, names, [*notes, *([f"not read: {listing(n for n, _ in others[1:])}"] if others[1:] else [])])


def has_classes(path: Path) -> bool:
    """Whether a directory has folders with images in them."""
    return bool(_scanned(path).holding)


def _part(name: str, classes: Classes, names: Sequence[str]) -> Part:
    paths = [path for one in names for path in classes.get(one, [])]
    counts = torch.tensor([len(classes.get(one, [])) for one in names], dtype=torch.long)
    return Part(name, ImageFiles(paths), torch.repeat_interleave(torch.arange(len(names)), counts))


def _scanned(path: Path, above: tuple[tuple[int, int], ...] = ()) -> Folder:
    """A folder with everything in it; links are followed, but not in a circle."""
    folder = Folder(path)
    try:
        status = path.stat()
        here = (*above, (status.st_dev, status.st_ino))
        if len(here) > DEPTH:
            raise ArchgradError(f"{path}: more than {DEPTH} folders lie inside each other")
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                inside = entry.stat()
                if (inside.st_dev, inside.st_ino) not in here:
                    folder.folders.append(_scanned(path / entry.name, here))
            elif entry.is_file() and os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                folder.images.append(path / entry.name)
            else:
                folder.others += 1
    except OSError as error:
        raise ArchgradError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from None
    return folder


def _unwrapped(folder: Folder) -> Folder:
    """The folder inside folders that hold nothing else, as archives make them: seg_train/seg_train."""
    while not folder.images and len(folder.holding) == 1 and folder.holding[0].holding:
        folder = folder.holding[0]
    return folder


def _parts(root: Folder) -> tuple[list[tuple[str, Classes]], list[str]]:
    """Training part first, then the others by preference, each with its name; and what is to be said."""
    named = {folder.name: folder for folder in root.holding}
    parts = {name: _unwrapped(folder) for name, folder in named.items() if role(name) and folder.holding}
    others = [name for name in named if name not in parts]
    train = choose(parts, TRAIN, root.path)
    if train is None:
        _require_classes(root, named, others)
        return _by_class(root)
    rivals = [name for name in others if role(name) is None]
    if rivals and not any(role(name) in (TEST, VALIDATION) for name in named):
        raise ArchgradError(
            f"{root.path}: {train} may be the training part, or a class like {rivals[0]}: "
            f"give {root.path / train}, or rename one of them"
        )
    rest = [name for part in (TEST, VALIDATION) if (name := choose(parts, part, root.path)) is not None]
    unread = [name for name in named if name not in (train, *rest)]
    notes = [f"not read: {listing(unread)}"] if unread else []
    loose = sum(len(parts[name].images) for name in (train, *rest[:1])) + len(root.images)
    notes += [f"images outside the class folders are not read: {loose:,}"] if loose else []
    return [(name, _classes(parts[name])) for name in (train, *rest)], notes


def _require_classes(root: Folder, named: dict[str, Folder], others: Sequence[str]) -> None:
    """Refuse parts of a set that would be taken for its classes."""
    if named and all(role(name) for name in named):
        flat = [name for name in others if role(name) == TRAIN]
        wrong = f"{flat[0]} holds images and no class folders" if flat else f"no training part among {listing(named)}"
        raise ArchgradError(f"{root.path}: {wrong}: an image folder has one sub-folder of images per class")


def _by_class(root: Folder) -> tuple[list[tuple[str, Classes]], list[str]]:
    """The parts of a folder whose own folders are classes, which may have parts inside."""
    loose = [f"images outside the class folders are not read: {len(root.images):,}"] if root.images else []
    inside = {folder.name: {f.name: f for f in folder.holding if role(f.name)} for folder in root.holding}
    divided = [name for name, parts in inside.items() if TRAIN in (roles := set(map(role, parts))) and len(roles) > 1]
    if not divided or len(inside) < 2:
        return [(root.name, _classes(root))], loose
    if len(divided) < len(inside):
        whole = next(name for name in inside if name not in divided)
        raise ArchgradError(f"{root.path}: {divided[0]} has a training part of its own, and {whole} has none")
    chosen = {name: {part: choose(parts, part, root.path / name) for part in (TRAIN, TEST, VALIDATION)}
              for name, parts in inside.items()}  # fmt: skip
    found = []
    for part in (TRAIN, TEST, VALIDATION):
        classes = {_plain(n): inside[n][name].all_images() for n, which in chosen.items() if (name := which[part])}
        found += [(part, classes)] if classes else []
    return found, loose


def _classes(folder: Folder) -> Classes:
    """Every folder is a class, an empty one too; one that holds other files is none, and is refused."""
    found: Classes = {}
    for inside in folder.folders:
        if not inside.count and any(one.others for one in inside.walk()):
            raise ArchgradError(f"{inside.path}: no images (looked for {', '.join(sorted(EXTENSIONS))})")
        found[_plain(inside.name)] = inside.all_images()
    return found


def _plain(name: str) -> str:
    """The name however its accents are stored: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)
