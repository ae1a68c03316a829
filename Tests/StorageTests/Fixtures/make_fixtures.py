"""Writes the files that other programs' libraries write, for StorageTests to read.

Run from this folder with h5py, numpy, torch and safetensors installed: python make_fixtures.py
"""

import h5py
import numpy as np
import torch
from safetensors.torch import save_file

with h5py.File("h5py.h5", "w") as file:
    file["model/weight"] = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    file["model/blocks/0/bias"] = np.array([1.5, -2.5])
    file["labels"] = np.array([3, -1, 7], dtype=np.int32)
    file["big_endian"] = np.array([1, 256, 65536], dtype=">i4")
    file["offsets"] = np.array([0, 2**40], dtype=np.uint64)
    file["names"] = ["n01440764/tench.JPEG", "Kühlschrank", "", "犬"]
    file["fixed"] = np.array([b"ab", b"abcd", b""])
    file.create_dataset("compressed", data=np.arange(1000, dtype=np.int64), compression="gzip", fletcher32=True)
    file["half"] = np.zeros(2, dtype=np.float16)
    file["scalar"] = np.float32(2.5)
    file.attrs["version"] = 3
    file.attrs["title"] = "größer"
    file.attrs["rate"] = 0.125
    file.attrs["list"] = [1, 2]
    file["labels"].attrs["note"] = np.bytes_("fixed length")

torch.manual_seed(0)
ramp = torch.arange(-4, 4, dtype=torch.float32).reshape(2, 4) * 0.375
special = torch.tensor([0.0, -0.0, 65504.0, 2.0**-24, 2.0**-14, float("inf"), -float("inf"), 1 / 3])
save_file(
    {
        "ramp.f32": ramp,
        "ramp.f16": ramp.half(),
        "ramp.bf16": ramp.bfloat16(),
        "ramp.f64": ramp.double(),
        "special.f16": special.half(),
        "special.bf16": special.bfloat16(),
        "index": torch.arange(3),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
    },
    "torch.safetensors",
    metadata={"format": "pt", "note": "größer"},
)

# Arrays of two gigabytes of which nothing is ever written, in a file of some kilobytes.
with h5py.File("unwritten.h5", "w") as file:
    file.create_dataset("numbers", shape=(1 << 28,), chunks=(1 << 16,), dtype="u8")
    file.create_dataset("strings", shape=(1 << 27,), chunks=(1 << 16,), dtype=h5py.string_dtype())
