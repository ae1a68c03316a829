"""Writes torch/: files of torch.save, in both of its forms, with what people save and with what must not be executed.

    pip install torch==2.13.0 numpy; python make_torch_fixtures.py
"""

import argparse
import os
import shutil
from collections import OrderedDict
from pathlib import Path

import torch

folder = Path(__file__).parent / "torch"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()


class Payload:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/peco-executed",)


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)


base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4 - 2
state = OrderedDict([
    ("blocks.0.norm.weight", base[0].clone()),
    ("turned", base.t()),  # [6, 4], strides 1 and 6
    ("part", base[1:3, ::2]),  # [2, 3] out of the middle, of the same storage
    ("scalar", torch.tensor(2.5)),
    ("empty", torch.zeros(0, 3)),
    ("half", base[0].half()),
    ("brain", base[0].bfloat16()),
    ("double", base[0].double()),
    ("parameter", torch.nn.Parameter(base[3].clone())),
    ("steps", torch.tensor([7])),
])
state._metadata = OrderedDict([("", {"version": 1})])
optimizer = {"state": {0: {"exp_avg": torch.ones(3), "step": 4}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.95)}]}

torch.save(state, folder / "state.pth")
torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
nested = {
    "epoch": 3, "best": None, "done": True, "args": argparse.Namespace(lr=1e-3, names=["a"]), "optimizer": optimizer,
    "model": state}
torch.save(nested, folder / "nested.pth")
torch.save(nested, folder / "nested_old.pth", _use_new_zipfile_serialization=False)
torch.save({"model": {"weight": base[0].clone()}, "extra": Payload()}, folder / "payload.pth")
torch.save(Payload(), folder / "payload_alone.pth")
torch.save(Module(), folder / "module.pth")
torch.save({"epoch": 3}, folder / "no_tensors.pth")
