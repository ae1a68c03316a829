"""Writes contrastive.h5: batch normalization, InfoNCE and MoCo v3's heads and positions, by PyTorch in float64.

    python make_contrastive_fixtures.py
"""

from pathlib import Path

import h5py
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(20210405)
torch.set_default_dtype(torch.float64)
out = h5py.File(Path(__file__).with_name("contrastive.h5"), "w")


def rand(*shape):
    # Rounded to float32, so that both sides start from the same numbers.
    return torch.randn(*shape).float().double()


def store(group, **values):
    for name, value in values.items():
        out[f"{group}/{name}"] = value.detach().float().numpy()


# Two batches one after the other, so that the running statistics have moved; then one in evaluation.
for name, affine in [("batch_norm", True), ("batch_norm_plain", False)]:
    norm = nn.BatchNorm1d(37, affine=affine)
    if affine:
        norm.weight.data, norm.bias.data = rand(37), rand(37)
        store(name, weight=norm.weight, bias=norm.bias)
    for index in range(2):
        x = (rand(24, 37) * 2 + 3).float().double().requires_grad_()
        norm.zero_grad()
        y, dy = norm(x), rand(24, 37)
        y.backward(dy)
        store(f"{name}/{index}", x=x, y=y, dy=dy, dx=x.grad, running_mean=norm.running_mean,
              running_var=norm.running_var)
        if affine:
            store(f"{name}/{index}", dweight=norm.weight.grad, dbias=norm.bias.grad)
    norm.eval()
    x = rand(5, 37).requires_grad_()
    y, dy = norm(x), rand(5, 37)
    y.backward(dy)
    store(f"{name}/evaluation", x=x, y=y, dy=dy, dx=x.grad)

# The second of three ranks with four queries each.
temperature = 0.2
queries, keys = rand(4, 19).requires_grad_(), rand(12, 19)
logits = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T / temperature
loss = F.cross_entropy(logits, torch.arange(4) + 4) * 2 * temperature
loss.backward()
store("info_nce", queries=queries, keys=keys, loss=loss, dqueries=queries.grad,
      correct=(logits.argmax(1) == torch.arange(4) + 4).sum().double())
