"""The loader against Pillow, and checkpoints against torch.save and the disk."""

import statistics
import subprocess
import tarfile

from . import processes
from .comparison import Row, alternate, progress, values
from .failure import Failure


def images(context):
    """A folder of JPEG files: that given, what is in the tar given, or drawn ones."""
    given = context.images
    if given is not None and given.is_dir():
        return given, str(given.name)
    folder = context.directory / "images"
    if given is None:
        progress("drawing 200 images, as no --images are given")
        dataset(context, "synthesize", "--folder", folder, "--count", 200, "--size", 400, "--seed", 0)
        return folder, "drawn images of 400 × 400"
    try:
        with tarfile.open(given) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise Failure(f"--images {given}: {error}; give a folder of JPEG files or a tar of one")
    return folder, given.name


def dataset(context, *arguments):
    """Runs `peco dataset`."""
    command = [context.peco, "dataset", *(str(token) for token in arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"peco dataset {arguments[0]} failed:\n{done.stderr[-2000:]}")


def loader(context):
    folder, name = images(context)
    file = context.directory / "images.h5"
    dataset(context, "prepare", "--input", folder, "--output", file)
    progress(f"loader, one thread, {name}")
    seconds = 2 if context.quick else 5

    def peer(order):
        return processes.peer(context.python, "loader.py", ["--images", folder, "--order", order, "--seconds", seconds], 1)

    results = alternate(context.rounds, {
        "peco": lambda: processes.peco(
            context.peco, ["loader", "--data", file, "--threads", 1, "--seconds", seconds], 1),
        "published": lambda: peer("published"), "crop-first": lambda: peer("crop-first")})
    context.record("loader", results, {})
    ours = values(results["peco"], "images_per_second")
    return [
        Row(f"loader, 1 thread, {name}", "images/s", values(results[order], "images_per_second"), ours, *goal, peer=what)
        for order, what, goal in [
            ("published", "Pillow, whole image jittered, then cropped, as BEiT's code", (3, 2)),
            ("crop-first", "Pillow, cropped at reduced scale, then jittered, as peco", ()),
        ]
    ]


def checkpoint(context):
    progress("checkpoint of ViT-B with optimizer")
    directory = context.directory / "checkpoints"
    directory.mkdir(exist_ok=True)
    threads = min(2, len(processes.cores()))
    results = alternate(context.rounds, {
        "PyTorch": lambda: processes.peer(
            context.python, "checkpoint.py", ["--directory", directory, "--rounds", 1 if context.quick else 3], threads),
        "peco": lambda: processes.peco(
            context.peco, ["checkpoint", "--size", "base", "--directory", directory], threads)}, rates=False)
    context.record("checkpoint", results, {})

    def medians(side, key):
        return [statistics.median(seconds) for seconds in values(results[side], key)]

    def rates(side):
        return [size / 1e6 / seconds for size, seconds in zip(values(results[side], "bytes"), medians(side, "save_seconds"))]

    disk = [rate / 1e6 for rate in values(results["PyTorch"], "disk_write_bytes_per_second")]
    quicker = dict(faster=lambda theirs, ours: theirs / ours)
    return [
        Row("checkpoint of ViT-B with optimizer, save", "s", medians("PyTorch", "save_seconds"),
            medians("peco", "save_seconds"), peer="torch.save, flushed", **quicker),
        Row("… load", "s", medians("PyTorch", "load_seconds"), medians("peco", "load_seconds"),
            peer="torch.load and load_state_dict", **quicker),
        Row("… share of the disk's plain write rate", "MB/s", disk, rates("peco"), 0.9, 0.7, peer="plain writes, flushed"),
    ]
