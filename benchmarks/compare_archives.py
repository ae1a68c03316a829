"""Compares two builds of peco in reading archives of images, in turns.

    python benchmarks/compare_archives.py OLD NEW [--images TAR] [--rounds 3]

OLD and NEW are programs. The archives have the form of ILSVRC's train.tar, 1000 tars of a class each: one with JPEG of about
110 KB, as ImageNet's, one with JPEG of 1 KB. --images is a tar of images to take in place of noise. What is timed is `peco
dataset prepare`, which also decodes every image once to judge it. Needs numpy and Pillow.
"""

import argparse
import io
import statistics
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("old", type=lambda path: Path(path).resolve())
parser.add_argument("new", type=lambda path: Path(path).resolve())
parser.add_argument("--images", type=Path)
parser.add_argument("--rounds", type=int, default=3)
arguments = parser.parse_args()


def jpeg(side):
    """Noise, smoothed so that it packs like a photograph."""
    small = np.random.default_rng(side).integers(0, 256, (side // 3, side // 3, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((side, side), Image.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def add(archive, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def write(path, images, per_class):
    with tarfile.open(path, "w") as outer:
        for number in range(1000):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as inner:
                for image in range(per_class):
                    add(inner, f"n{number:08}_{image}.JPEG", images[(number * per_class + image) % len(images)])
            add(outer, f"n{number:08}.tar", stream.getvalue())


def seconds(program, archive, options, folder):
    output = folder / "out.h5"
    output.unlink(missing_ok=True)
    start = time.monotonic()
    subprocess.run(
        [program, "dataset", "prepare", "--input", archive, "--output", output, *options], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    if arguments.images:
        with tarfile.open(arguments.images) as source:
            photographs = [source.extractfile(entry).read() for entry in source if entry.isfile()]
    else:
        photographs = [jpeg(480)]
    write(folder / "large.tar", photographs, 3)
    write(folder / "small.tar", [jpeg(32)], 50)
    for what, archive, options in [
        ("1000 classes of 3 images", "large.tar", []),
        ("the same, --short-side 256 --workers 2", "large.tar", ["--short-side", "256", "--workers", "2"]),
        ("1000 classes of 50 images of 32 x 32", "small.tar", []),
    ]:
        times = {program: [] for program in (arguments.old, arguments.new)}
        for number in range(arguments.rounds):
            order = list(times) if number % 2 == 0 else list(times)[::-1]
            for program in order:
                times[program].append(seconds(program, folder / archive, options, folder))
        ratios = [old / new for old, new in zip(*times.values())]
        print(f"{what}: old / new {statistics.median(ratios):.2f} (" + ", ".join(f"{r:.2f}" for r in ratios)
              + f"), new {statistics.median(times[arguments.new]):.2f} s", flush=True)
