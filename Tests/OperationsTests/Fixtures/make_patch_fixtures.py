"""Writes patches.h5: the target and the loss of masked autoencoders (He et al., 2111.06377) in PyTorch, for a linear head
on given tokens: pixels of patches, plain and normalized, loss at some of them, gradients of tokens and head.

    python make_patch_fixtures.py
"""

import pathlib

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
PATCH, WIDTH = 4, 10
images = torch.randn(2, 3, 12, 8).float().double()
masked = torch.tensor([0, 3, 4, 7, 10, 11])  # of 2 · 6 patches
# A patch without contrast shows what is added to the variance.
images[1, :, 8:, 4:] = 0.25

# Every patch as a row: all pixels of it, each with its channels side by side.
patches = F.unfold(images, PATCH, stride=PATCH)  # [2, 3 · 16, 6]
patches = patches.reshape(2, 3, PATCH * PATCH, 6).permute(0, 3, 2, 1).reshape(12, PATCH * PATCH * 3)
normalized = (patches - patches.mean(1, keepdim=True)) / (patches.var(1, keepdim=True) + 1e-6).sqrt()

tokens = torch.randn(6, WIDTH).float().double().requires_grad_()
weight = (0.2 * torch.randn(48, WIDTH)).float().double().requires_grad_()
bias = (0.1 * torch.randn(48)).float().double().requires_grad_()
loss = ((F.linear(tokens, weight, bias) - normalized[masked]) ** 2).mean(1).mean()
loss.backward()

with h5py.File(pathlib.Path(__file__).with_name("patches.h5"), "w") as file:
    for name, value in dict(
        images=images.permute(0, 2, 3, 1), plain=patches[masked], normalized=normalized[masked], tokens=tokens,
        weight=weight, bias=bias, loss=loss, dtokens=tokens.grad, dweight=weight.grad, dbias=bias.grad,
    ).items():
        file.create_dataset(name, data=value.detach().numpy().astype(np.float32))
    file.create_dataset("masked", data=masked.numpy().astype(np.int32))
