"""What the user gave: configuration files, the command line, and the files that settings name."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from rarecxr.data.formats.registry import CHEXPERT
from rarecxr.data.image_folder import ImageFolder
from rarecxr.study.configuration.source import SourceSettings
from rarecxr.study.configuration.study import Configuration
from rarecxr.study.plan import Plan
from rarecxr.study.source import missing_tables

# torchvision's file of the network behind the feature space `imagenet`.
IMAGENET_FEATURES = "densenet121-a639ec97.pth"


def repeated_keys(path: str | os.PathLike) -> Iterator[str]:
    """Keys that a YAML file has twice, one sentence for each: YAML silently keeps the last one."""
    text = Path(path).read_text(encoding="utf-8")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, first, again in _repeated(node, "", set()):
        yield (
            f"{path}: {key} is in line {first} and again in line {again}, and only the last "
            "one would count; join the two"
        )


def _repeated(node: yaml.Node | None, above: str, seen: set[int]) -> Iterator[tuple[str, int, int]]:
    # Each once: by anchors a part may stand in many places, and within itself.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, above, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines and name != "<<":
            yield f"{above}{name}", lines[name], line
        lines.setdefault(name, line)
        yield from _repeated(value, f"{above}{name}.", seen)


def misread_options(arguments: Sequence[str]) -> Iterator[str]:
    """Options of Snakemake that are read otherwise than they look, one sentence for each."""
    given = [word for word in arguments if word.split("=")[0] in ("--configfile", "--configfiles")]
    if len(given) > 1:
        yield (
            f"--configfile is given {len(given)} times, and Snakemake reads the last one alone; "
            "give all files after one: --configfile FILE FILE"
        )


def missing_files(
    configuration: Configuration, folder: str | os.PathLike, published: str | os.PathLike
) -> Iterator[str]:
    """Files of the user's that are not there, one sentence for each with the key that names them.

    Args:
        configuration: the study's.
        folder: what relative paths are relative to.
        published: published.csv, which the report quotes.
    """
    # Asked of os.path, for which names that no file can have (too long, say) are not there either.
    folder = Path(folder)
    if not os.path.isfile(published):
        yield f"{published}: there is no such file; the report quotes it, so fetch it again"
    dataset = configuration.dataset
    if dataset.root is not None:
        yield from _missing_data(dataset, "dataset", folder, ", or null for the embedded phantoms")
    for name, external in dataset.external.items():
        section, root = f"dataset.external.{name}", folder / external.root
        yield from _missing_data(external, section, folder)
        if dataset.root is not None and _same_folder(root, folder / dataset.root):
            yield (
                f"{section}.root: {root} is the folder of dataset.root, whose patients are trained "
                "on; give the folder of another data set"
            )
    if configuration.container is not None and "://" not in configuration.container:
        image = folder / os.path.expanduser(configuration.container)
        # A folder is one of Apptainer's kinds of images.
        if not os.path.exists(image):
            yield (
                f"container: there is no image {_place(configuration.container, folder)}; give the "
                "path of one (container/ makes it), an address such as docker://…, or null"
            )
    yield from _missing_features(configuration, folder)
    for section in ("features", "classifier"):
        chosen = getattr(configuration, section)
        if chosen.weights not in (None, "imagenet") and not os.path.isfile(folder / chosen.weights):
            kind = (
                "is a folder" if os.path.isdir(folder / chosen.weights) else "there is no such file"
            )
            yield (
                f"{section}.weights: {_place(chosen.weights, folder)}: {kind}; give the path of a "
                "file of weights, imagenet for torchvision's, or null for random ones"
            )
        if chosen.weights_dir is not None and not os.path.isdir(folder / chosen.weights_dir):
            yield (
                f"{section}.weights_dir: there is no folder {_place(chosen.weights_dir, folder)}; "
                "give the folder of torchvision's files, or null for torch.hub's own"
            )


def _missing_data(
    dataset: SourceSettings, section: str, folder: Path, otherwise: str = ""
) -> Iterator[str]:
    """The folder and the tables of a data set that are not there.

    Args:
        dataset: its settings, with a root.
        section: where they stand.
        folder: what a relative root is relative to.
        otherwise: what could stand in place of a folder.
    """
    root = folder / dataset.root
    if not os.path.isdir(root):
        holds = "the tables" if dataset.format != CHEXPERT else dataset.train_csv
        yield (
            f"{section}.root: there is no folder {_place(dataset.root, folder)}; give the folder "
            f"that holds {holds}{otherwise}"
        )
    elif dataset.format != CHEXPERT:
        yield from missing_tables(dataset, os.fspath(root), section)
    else:
        for key in ("train_csv", "expert_csv"):
            name = getattr(dataset, key)
            if name is None:
                continue
            null = ", or null if there is none" if key == "expert_csv" else ""
            table = ImageFolder(root).table(name)
            if not os.path.isfile(table):
                yield (
                    f"{section}.{key}: there is no file {name} in {root}; give the name of a CSV "
                    f"file in that folder{null}"
                )
            elif not os.access(table, os.R_OK):
                yield f"{section}.{key}: {table} may not be read; change its permissions"
            elif os.path.getsize(table) == 0:
                yield f"{section}.{key}: {table} is empty; copy it again{null}"


def _same_folder(one: Path, other: Path) -> bool:
    """Whether two paths, however they are written, lead to one folder."""
    return os.path.realpath(one) == os.path.realpath(other)


def _missing_features(configuration: Configuration, folder: Path) -> Iterator[str]:
    """The weights behind the feature space `imagenet`, which no job fetches."""
    plan, space = Plan(configuration), "imagenet"
    if not plan.banks_of_a_cell():
        return
    used = {
        "gan.evaluation.space": plan.evaluation_spaces(),
        "bank.select.space": plan.selection_spaces(),
        "quality.spaces": configuration.quality.spaces,
    }
    keys = [key for key, spaces in used.items() if space in spaces]
    weights_dir = configuration.features.weights_dir
    places = [torch_hub_folder() / IMAGENET_FEATURES]
    if weights_dir is not None:
        places.insert(0, folder / weights_dir / IMAGENET_FEATURES)
    if keys and not any(os.path.isfile(place) for place in places):
        yield (
            f"{', '.join(keys)}: the feature space imagenet needs {IMAGENET_FEATURES}, which is "
            f"not at {' or '.join(map(str, places))}, and no job fetches it; fetch "
            f"https://download.pytorch.org/models/{IMAGENET_FEATURES} to {places[0]}, or choose "
            "another space"
        )


def torch_hub_folder() -> Path:
    """Where torch keeps files of weights; found as `torch.hub.get_dir` does, without torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(os.path.expanduser(home)) / "hub/checkpoints"


def _place(path: str, folder: Path) -> str:
    if Path(path).is_absolute():
        return path
    return f"{path} in {folder.resolve()}, the folder that Snakemake runs in"


def refuse(reasons: Iterable[str]) -> None:
    """Stop with all reasons, if there are any.

    Raises:
        ValueError: one line for each reason.
    """
    lines = list(reasons)
    if lines:
        raise ValueError("the study cannot be run\n  " + "\n  ".join(lines))
