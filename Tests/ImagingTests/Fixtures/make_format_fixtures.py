"""Writes WebP images, images with a camera's orientation, 16-bit gray, and `public.images` with `public.json`.

    python make_format_fixtures.py PNGSUITE TESTIMAGES TESTPNGS

PNGSUITE is the folder of Willem van Schaik's PngSuite, which anybody may copy; TESTIMAGES that of libjpeg-turbo's, TESTPNGS
that of libpng's contrib/testpngs. NAME.webp and the like stand beside NAME.rgb, the pixels of Pillow's convert("RGB"), after
exif_transpose for those of orientation, which are of EXIF, or with "xmp" in their name of XMP. `public.images` has the small
files of the three folders one after another. `public.json` has of each name, size, whether Pillow
reads it, and of its pixels the CRC-32 (PNG) or the mean color of 4 × 4 cells (JPEG).
"""

import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

warnings.simplefilter("ignore")
folder = Path(__file__).parent
rgb = Image.open(folder / "plain.png").convert("RGB")
alpha = Image.open(folder / "alpha.png")


def write_pixels(image, name):
    np.asarray(image.convert("RGB")).tofile(folder / f"{name}.rgb")


for name, image, options in [
    ("lossy", rgb, {"quality": 80}), ("lossless", rgb, {"lossless": True}),
    ("lossyalpha", alpha, {"quality": 80}), ("losslessalpha", alpha, {"lossless": True, "exact": True}),
]:
    image.save(folder / f"{name}.webp", **options)
    write_pixels(Image.open(folder / f"{name}.webp"), name)
# Its first image leaves a part of the canvas free: the upper left corner is transparent, and so is not stored.
first = alpha.resize((20, 14)).copy()
first.paste((0, 0, 0, 0), (0, 0, 8, 5))
first.save(folder / "animated.webp", save_all=True, lossless=True,
           append_images=[ImageOps.invert(rgb).resize((20, 14)).convert("RGBA")])
write_pixels(Image.open(folder / "animated.webp"), "animated")

small = rgb.resize((13, 7))
for value in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = value
    for ending, options in [("png", {}), ("jpg", {"quality": 95, "subsampling": 0}), ("webp", {"lossless": True})]:
        small.save(folder / f"orientation{value}.{ending}", exif=exif, **options)
    write_pixels(ImageOps.exif_transpose(Image.open(folder / f"orientation{value}.png")), f"orientation{value}")

# As an attribute and as an element.
for value, said in [(6, 'tiff:Orientation="6"/>'), (3, '><tiff:Orientation>3</tiff:Orientation></rdf:Description>')]:
    xmp = f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {said}'
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp)
    for ending, options in [
        ("png", {"pnginfo": text}), ("jpg", {"quality": 95, "subsampling": 0, "xmp": xmp.encode()}),
        ("webp", {"lossless": True, "xmp": xmp.encode()}),
    ]:
        path = folder / f"orientationxmp{value}.{ending}"
        small.save(path, **options)
        turned = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        upright = Image.open(folder / f"orientation{value}.{ending}")
        assert turned.tobytes() == ImageOps.exif_transpose(upright).convert("RGB").tobytes()

deep = np.linspace(0, 65535, 53 * 37).astype(np.uint16).reshape(37, 53)
Image.fromarray(deep).save(folder / "deepgray.png")
np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, 2).tofile(folder / "deepgray.rgb")

entries, content = [], b""
for source in sys.argv[1:]:
    for path in sorted(Path(source).iterdir()):
        if path.suffix not in [".png", ".jpg"] or path.stat().st_size > 40_000:
            continue
        data = path.read_bytes()
        entry = {"name": path.name, "size": len(data), "reads": True, "crc": 0, "cells": []}
        try:
            image = Image.open(path)
            image.load()
            if image.mode == "I;16":
                # Pillow would cut off at 255.
                pixels = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, 2)
            else:
                pixels = np.asarray(image.convert("RGB"))
            if path.suffix == ".png":
                entry["crc"] = zlib.crc32(pixels.tobytes())
            else:
                entry["cells"] = [
                    round(float(value), 2)
                    for rows in np.array_split(pixels, 4, 0) for cell in np.array_split(rows, 4, 1)
                    for value in cell.reshape(-1, 3).mean(0)
                ]
        except Exception:
            entry["reads"] = False
        entries.append(entry)
        content += data
(folder / "public.images").write_bytes(content)
(folder / "public.json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
