"""Saving and loading ViT with its optimizer's moments by torch.save and torch.load, and the disk's plain write rate.

    python checkpoint.py --directory DIR --rounds 3

A save ends when the file is flushed to the disk; the disk's own rate is that of writing as many bytes one after another
in pieces of 8 MiB, flushed likewise, in the same run.
"""

import argparse
import os
import time

import torch

import measure
import vit

MEBIBYTE = 1 << 20


def flushed(path, write):
    """Seconds until what `write(file)` writes is on the disk."""
    start = time.perf_counter()
    with open(path, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True)
    parser.add_argument("--size", default="base", choices=vit.SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    measure.use_threads(arguments.threads)
    model = vit.MaskedImageModel(arguments.size)
    adam = torch.optim.AdamW(model.parameters(), fused=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
        parameter.grad = torch.randn_like(parameter)
    adam.step()
    adam.zero_grad()

    path = os.path.join(arguments.directory, "peer-checkpoint.pt")
    plain = os.path.join(arguments.directory, "peer-plain.bin")
    piece = memoryview(os.urandom(8 * MEBIBYTE))
    saves, loads, writes = [], [], []
    try:
        for _ in range(arguments.rounds):
            state = {"model": model.state_dict(), "optimizer": adam.state_dict()}
            saves.append(flushed(path, lambda file: torch.save(state, file)))
            size = os.path.getsize(path)
            start = time.perf_counter()
            state = torch.load(path, weights_only=True)
            model.load_state_dict(state["model"])
            adam.load_state_dict(state["optimizer"])
            loads.append(time.perf_counter() - start)
            del state
            os.unlink(path)

            def write_plainly(file):
                for offset in range(0, size, len(piece)):
                    file.write(piece[: size - offset])

            writes.append(size / flushed(plain, write_plainly))
            os.unlink(plain)
    finally:
        for leftover in (path, plain):
            if os.path.exists(leftover):
                os.unlink(leftover)
    measure.report(
        "checkpoint", batch=1, seconds=saves, threads=arguments.threads, save_seconds=saves, load_seconds=loads,
        bytes=size, disk_write_bytes_per_second=sorted(writes)[len(writes) // 2], disk_writes=writes)


main()
