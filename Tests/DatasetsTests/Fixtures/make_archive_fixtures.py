"""Writes the folder `tree`, the archives of it that ArchiveTests reads, and those of names that NameTests reads.

    python make_archive_fixtures.py

It needs numpy, pillow, GNU tar, gzip, bzip2, xz, zstd and zip. `names.json` has the classes of the archives of names in the
order in which Python's `sorted` has them; an undecodable byte is written as the dataset file has it.
"""

import io
import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

folder = Path(__file__).parent
tree = folder / "tree"
rng = np.random.default_rng(0)


def pixels(width, height):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


for name in ["cat", "dog"]:
    (tree / name).mkdir(parents=True, exist_ok=True)
(tree / "cat/1.jpg").write_bytes(encoded(pixels(9, 7), "JPEG"))
(tree / "cat/2.png").write_bytes(encoded(pixels(5, 6), "PNG"))
(tree / "dog/1.webp").write_bytes(encoded(pixels(11, 8), "WEBP"))
# An application's segment of zeros: a file system may leave a hole there, and tar may too.
jpeg = encoded(pixels(8, 8), "JPEG")
segment = b"\xff\xef" + (32002).to_bytes(2, "big") + bytes(32000)
data = jpeg[:2] + segment + jpeg[2:] + bytes(9000)
with open(tree / "dog/holes.jpg", "wb") as file:
    # What is zero is not written; tar looks for holes only in files that have some.
    for start in range(0, len(data), 4096):
        if any(data[start : start + 4096]):
            file.seek(start)
            file.write(data[start : start + 4096])
    file.truncate(len(data))


def run(*command, **options):
    subprocess.run(command, check=True, cwd=folder, **options)


common = ["tar", "--sort=name", "--mtime=2000-01-01", "--owner=0", "--group=0", "--numeric-owner", "-b", "1"]
sparse = ["-C", "tree", "--sparse", "--hole-detection=raw", "-cf"]
run(*common, "--format=gnu", *sparse, "sparse-gnu.tar", "cat", "dog")
for version in ["0.0", "0.1", "1.0"]:
    run(*common, "--format=posix", "--pax-option=delete=atime,delete=ctime,exthdr.name=x", f"--sparse-version={version}",
        *sparse, f"sparse-pax-{version}.tar", "cat", "dog")
run(*common, "--format=gnu", *sparse, "packed.tar", "cat", "dog")
for program, ending in [("gzip -n", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd -q", "zst")]:
    with open(folder / f"packed.tar.{ending}", "wb") as file:
        run(*program.split(), "-c", "packed.tar", stdout=file)
(folder / "packed.tar").unlink()
(folder / "stored.zip").unlink(missing_ok=True)
with zipfile.ZipFile(folder / "stored.zip", "w") as file:
    for number, name in enumerate(["dog/1.webp", "dog/holes.jpg", "cat/1.jpg", "cat/2.png"]):
        info = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
        file.writestr(info, (tree / name).read_bytes())

# Two classes that differ in a byte that is not UTF-8, two spellings of one word, a mark without a letter, a line's end, and
# what looks like the text of such a byte.
names = [
    b"caf\xe9", b"caf\xe8", "caf\u00e9".encode(), "cafe\u0301".encode(), "\u0301mark".encode(), b"new\nline",
    b"caf\\xE9", "\U0001f600".encode(), "\uff5e".encode(), b"cat-big", b"cat",
]


def text(name):
    name = re.sub(rb"\\(?=x[0-9A-F]{2})", rb"\\x5C", name)
    return re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02X}", name.decode("utf-8", "surrogateescape"))


order = sorted(name.decode("utf-8", "surrogateescape") for name in names)
bytes_of = [name.encode("utf-8", "surrogateescape") for name in order]
image = (tree / "cat/1.jpg").read_bytes()
for kind, format in [("gnu", tarfile.GNU_FORMAT), ("ustar", tarfile.USTAR_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
    with tarfile.open(folder / f"names-{kind}.tar", "w", format=format, encoding="utf-8", errors="surrogateescape") as file:
        for name in names:
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape") + "/a.jpg")
            info.size = len(image)
            file.addfile(info, io.BytesIO(image))
os.makedirs(folder / "names", exist_ok=True)
for name in names:
    place = os.fsencode(folder / "names") + b"/" + name
    os.makedirs(place, exist_ok=True)
    with open(place + b"/a.jpg", "wb") as file:
        file.write(image)
# GNU tar writes bytes into pax headers that are not UTF-8, against the standard.
run(*common, "--format=posix", "--pax-option=delete=atime,delete=ctime,exthdr.name=x", "-C", "names", "-cf", "names-raw.tar", ".")
subprocess.run(["rm", "-r", folder / "names"], check=True)
(folder / "names.json").write_text(json.dumps({"text": [text(name) for name in bytes_of], "hex": [n.hex() for n in bytes_of]}))
# Names that are marked as Unicode, in one spelling each and in two.
for archive, chosen in [("names.zip", ["caf\u00e9", "\u0301mark", "dog"]), ("twice.zip", ["caf\u00e9", "cafe\u0301"])]:
    with zipfile.ZipFile(folder / archive, "w") as file:
        for name in chosen:
            file.writestr(zipfile.ZipInfo(name + "/a.jpg", (2000, 1, 1, 0, 0, 0)), image)
