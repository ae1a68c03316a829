"""Writes the images and reference results that ImagingTests compares with.

Run from this folder with numpy, pillow, torch and torchvision installed: python make_fixtures.py
NAME.jpg or NAME.png stands beside NAME.rgb, the pixels of Pillow's convert("RGB"); resize.json and
colors.json describe the images that lie one after another in resize.rgb and colors.rgb.
"""

import json
import warnings

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)


def scene(width, height):
    """Gradients, hard edges and noise."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1)
    image[(x // 7 + y // 5) % 5 == 0] = [255, 0, 40]
    image[(x - width / 2) ** 2 + (y - height / 2) ** 2 < height**2 / 16] = [10, 250, 240]
    image += rng.normal(0, 6, image.shape)
    image[: height // 6, : width // 4] = rng.integers(0, 2, (height // 6, width // 4, 1)) * 255
    return np.clip(image, 0, 255).astype(np.uint8)


def reference(name):
    image = Image.open(name)
    np.asarray(image.convert("RGB")).tofile(name.rsplit(".", 1)[0] + ".rgb")


rgb = Image.fromarray(scene(53, 37))
rgb.save("ycc444.jpg", quality=90, subsampling=0)
rgb.save("ycc422.jpg", quality=90, subsampling=1)
rgb.save("ycc420.jpg", quality=90, subsampling=2)
rgb.save("ycc411.jpg", quality=90, subsampling="4:1:1")
rgb.save("progressive.jpg", quality=90, progressive=True)
rgb.save("restarts.jpg", quality=90, restart_marker_rows=1)
rgb.save("rgb.jpg", quality=90, keep_rgb=True)
rgb.convert("L").save("gray.jpg", quality=90)
rgb.convert("CMYK").save("cmyk.jpg", quality=90)
data = bytearray(open("cmyk.jpg", "rb").read())
adobe = data.index(b"Adobe")
data[adobe + 11] = 2  # the same numbers, now said to be YCCK
open("ycck.jpg", "wb").write(data)

alpha = rgb.copy()
alpha.putalpha(Image.fromarray(rng.integers(0, 256, (37, 53), dtype=np.uint8)))
rgb.save("plain.png")
alpha.save("alpha.png")
rgb.convert("L").save("gray.png")
rgb.convert("1").save("bits.png")
alpha.convert("LA").save("grayalpha.png")
rgb.quantize(64).save("palette.png")
transparent = rgb.quantize(13)
transparent.save("palettealpha.png", transparency=3)


def write_png(name, width, height, depth, kind, interlace, rows):
    """What Pillow does not write: 16 bits and interlacing. `rows` are the filter-0 rows of the passes."""
    import struct
    import zlib

    def chunk(tag, body):
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    with open(name, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


deep = np.asarray(rgb).astype(np.uint16) * 256 + rng.integers(0, 256, (37, 53, 3)).astype(np.uint16)
write_png("deep.png", 53, 37, 16, 2, 0, [row.astype(">u2").tobytes() for row in deep])
adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
array = np.asarray(rgb)
rows = [row.tobytes() for x, y, dx, dy in adam7 for row in array[y::dy, x::dx]]
write_png("interlaced.png", 53, 37, 8, 2, 1, rows)

for name in ["ycc444", "ycc422", "ycc420", "ycc411", "progressive", "restarts", "rgb", "cmyk", "ycck"]:
    reference(name + ".jpg")
for name in ["plain", "alpha", "bits", "grayalpha", "palette", "palettealpha", "deep", "interlaced"]:
    reference(name + ".png")
np.asarray(Image.open("gray.jpg").convert("RGB")).tofile("gray-jpeg.rgb")
np.asarray(Image.open("gray.png").convert("RGB")).tofile("gray-png.rgb")

source = Image.fromarray(scene(61, 47))
np.asarray(source).tofile("source.rgb")
filters = {
    "box": Image.BOX,
    "bilinear": Image.BILINEAR,
    "bicubic": Image.BICUBIC,
    "lanczos": Image.LANCZOS,
}
geometries = [
    ((0, 0, 61, 47), (24, 18)),
    ((0, 0, 61, 47), (61, 47)),
    ((0, 0, 61, 47), (90, 75)),
    ((0, 0, 61, 47), (61, 13)),
    ((5, 3, 50, 41), (16, 16)),
    ((5.25, 3.5, 50.75, 41.125), (32, 32)),
    ((40, 30, 43.5, 33), (20, 17)),
    ((0, 0, 61, 47), (1, 1)),
]
cases, pixels = [], []
for name, kind in filters.items():
    for box, size in geometries:
        cases.append({"filter": name, "box": box, "width": size[0], "height": size[1]})
        pixels.append(np.asarray(source.resize(size, kind, box=box)).tobytes())
json.dump(cases, open("resize.json", "w"))
open("resize.rgb", "wb").write(b"".join(pixels))

operations = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}
tensor = torch.from_numpy(np.array(source)).permute(2, 0, 1).float() / 255
chains = [[(name, factor)] for name in ["brightness", "contrast", "saturation"] for factor in [0.0, 0.6, 1.0, 1.4]]
chains += [[("hue", turns)] for turns in [-0.5, -0.1, 0.0, 0.07, 0.5]]
chains += [
    [("brightness", 1.3), ("contrast", 0.7), ("saturation", 1.4)],
    [("saturation", 0.6), ("contrast", 1.4), ("brightness", 0.8)],
    [("contrast", 1.2), ("hue", 0.1), ("saturation", 1.3), ("brightness", 1.1)],
]
cases, pixels = [], []
for chain in chains:
    has_hue = any(name == "hue" for name, _ in chain)
    image = tensor if has_hue else source  # Pillow's hue has steps of 1/256 turn and more
    for name, factor in chain:
        image = operations[name](image, factor)
    if has_hue:
        image = (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    cases.append({"steps": [{"name": name, "factor": factor} for name, factor in chain]})
    pixels.append(np.asarray(image).tobytes())
json.dump(cases, open("colors.json", "w"))
open("colors.rgb", "wb").write(b"".join(pixels))
