"""Images as BEiT's pretraining sees them, by Pillow and numpy in one process: decoding, color jitter, random resized
crop, flip, normalization and a blockwise mask.

    python loader.py --images FOLDER --seconds 5 --order crop-first

`published` is the order of BEiT's code: colors change on the whole image, then it is cropped. `crop-first` does
what `peco` does: JPEG decoded at the smallest of its scales that is large enough for the crop, colors changed on the
crop alone.
"""

import argparse
import math
import pathlib
import random
import time

import numpy as np
from PIL import Image, ImageEnhance

import measure

SIZE, GRID, MASKED, MINIMUM_BLOCK, ASPECT, JITTER = 224, 14, 75, 16, 0.3, 0.4
SCALE = (1 / (255 * np.array([0.229, 0.224, 0.225]))).astype(np.float32)
SHIFT = (-np.array([0.485, 0.456, 0.406]) / np.array([0.229, 0.224, 0.225])).astype(np.float32)


def crop_region(width, height):
    """torchvision's RandomResizedCrop: (left, top, right, bottom)."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def jittered(image):
    """torchvision's ColorJitter: brightness, contrast and saturation in random order."""
    for change in random.sample([ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color], 3):
        image = change(image).enhance(random.uniform(1 - JITTER, 1 + JITTER))
    return image


def published(path):
    image = Image.open(path).convert("RGB")
    image = jittered(image)
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=crop_region(*image.size))


def crop_first(path):
    image = Image.open(path)
    width, height = image.size
    box = crop_region(width, height)
    factor = max(1.0, min(box[2] - box[0], box[3] - box[1]) / SIZE)
    image.draft("RGB", (int(width / factor), int(height / factor)))
    image = image.convert("RGB")
    x, y = image.size[0] / width, image.size[1] / height
    box = (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
    image = jittered(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def blockwise_mask():
    """BEiT's algorithm 1, on a numpy array."""
    mask = np.zeros((GRID, GRID), dtype=bool)
    count = 0
    while count < MASKED:
        for _ in range(10):
            area = random.uniform(MINIMUM_BLOCK, max(MINIMUM_BLOCK, MASKED - count))
            ratio = math.exp(random.uniform(math.log(ASPECT), -math.log(ASPECT)))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if w >= GRID or h >= GRID:
                continue
            top, left = random.randint(0, GRID - h), random.randint(0, GRID - w)
            block = mask[top:top + h, left:left + w]
            new = block.size - int(block.sum())
            if 0 < new <= MASKED - count:
                block[:] = True
                count += new
                break
        else:
            break
    return mask


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True, help="folder of JPEG files, searched to the bottom")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--order", default="published", choices=["published", "crop-first"])
    arguments = parser.parse_args()
    measure.use_threads(1)
    files = sorted(p for p in pathlib.Path(arguments.images).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"{arguments.images}: no JPEG files")
    render = {"published": published, "crop-first": crop_first}[arguments.order]
    random.seed(0)
    batch = 16
    images = np.empty((batch, SIZE, SIZE, 3), dtype=np.float32)
    masks = np.empty((batch, GRID, GRID), dtype=bool)

    def fill(paths):
        for place, path in enumerate(paths):
            np.multiply(np.asarray(render(path)), SCALE, out=images[place])
            images[place] += SHIFT
            masks[place] = blockwise_mask()

    fill(random.sample(files, min(batch, len(files))))
    queue, seconds, start = [], [], time.perf_counter()
    while time.perf_counter() - start < arguments.seconds:
        # Epochs of all files in random order, so that every batch costs about the same.
        while len(queue) < batch:
            queue += random.sample(files, len(files))
        paths, queue = queue[:batch], queue[batch:]
        began = time.perf_counter()
        fill(paths)
        seconds.append(time.perf_counter() - began)
    # Images differ in size: the mean over all tells more than the median of batches.
    rate = batch * len(seconds) / sum(seconds)
    measure.report(
        "loader", batch=batch, seconds=seconds, threads=1, model=arguments.order, images_per_second=rate)


main()
