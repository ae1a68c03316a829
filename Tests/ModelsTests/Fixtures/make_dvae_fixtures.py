"""Writes dvae.h5: a small discrete VAE in the form of DALL-E's published one; logits, tokens, a relaxed sample with given
noise, reconstruction, losses and every gradient in PyTorch.

    python make_dvae_fixtures.py
"""

import pathlib

import h5py
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
here = pathlib.Path(__file__).parent

WIDTH, MULTIPLIERS, BLOCKS, ENTRIES, LENGTH = 4, (1, 2, 4, 8), 2, 24, 6
TEMPERATURE, KL_WEIGHT = 0.7, 0.3


class Convolution(nn.Module):
    """Weights `w` and `b`, as wide as the image."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.w = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5)
        self.b = nn.Parameter(0.1 * torch.randn(outputs))

    def forward(self, x):
        return F.conv2d(x, self.w, self.b, padding=self.w.shape[-1] // 2)


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernels):
        super().__init__()
        hidden = outputs // 4
        sizes = [inputs, hidden, hidden, hidden, outputs]
        self.id_path = Convolution(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.res_path = nn.Sequential()
        for number, kernel in enumerate(kernels, 1):
            self.res_path.add_module(f"relu_{number}", nn.ReLU())
            self.res_path.add_module(f"conv_{number}", Convolution(sizes[number - 1], sizes[number], kernel))
        self.gain = (len(MULTIPLIERS) * BLOCKS) ** -2

    def forward(self, x):
        return self.id_path(x) + self.gain * self.res_path(x)


def groups(first, widths, kernels, between):
    blocks = nn.Sequential()
    before = first
    for number, width in enumerate(widths, 1):
        group = nn.Sequential()
        for block in range(1, BLOCKS + 1):
            group.add_module(f"block_{block}", Block(before, width, kernels))
            before = width
        if number < len(widths):
            group.add_module("between", between)
        blocks.add_module(f"group_{number}", group)
    return blocks


def network(inputs, kernel, first, widths, kernels, between, outputs):
    blocks = nn.Sequential()
    blocks.add_module("input", Convolution(inputs, first, kernel))
    for name, group in groups(first, widths, kernels, between).named_children():
        blocks.add_module(name, group)
    output = nn.Sequential()
    output.add_module("relu", nn.ReLU())
    output.add_module("conv", Convolution(widths[-1], outputs, 1))
    blocks.add_module("output", output)
    result = nn.Module()
    result.blocks = blocks
    return result


widths = [WIDTH * m for m in MULTIPLIERS]
model = nn.Module()
model.encoder = network(3, 7, WIDTH, widths, [3, 3, 3, 1], nn.MaxPool2d(2), ENTRIES)
model.decoder = network(ENTRIES, 1, LENGTH, widths[::-1], [1, 3, 3, 3], nn.Upsample(scale_factor=2), 6)
for parameter in model.parameters():
    parameter.data = parameter.data.float().double()


def median(statistics):
    return (torch.sigmoid(statistics[:, :3]) - 0.1) / 0.8 * 2 - 1


def logit_laplace(statistics, x):
    mean, scale = statistics[:, :3], statistics[:, 3:].exp()
    return (torch.log(2 * scale * x * (1 - x)) + (torch.logit(x) - mean).abs() / scale).mean()


images = (torch.rand(2, 3, 16, 16) * 2 - 1).float().double()
mapped = 0.8 * (images + 1) / 2 + 0.1
uniform = torch.rand(2, ENTRIES, 2, 2).clamp(1e-6, 1 - 1e-6)
noise = (-(-uniform.log()).log()).float().double()


def write(file, name, value):
    value = value.detach()
    if value.dim() == 4 and "parameters" not in name and "gradients" not in name:
        value = value.permute(0, 2, 3, 1)
    value = value.numpy()
    file.create_dataset(name, data=value.astype(np.int32 if value.dtype.kind == "i" else np.float32))


with h5py.File(here / "dvae.h5", "w") as file:
    write(file, "images", images)
    write(file, "noise", noise)
    for name, parameter in model.named_parameters():
        write(file, "parameters/" + name, parameter)
    for pixel in ["l2", "logit_laplace"]:
        model.zero_grad()
        logits = model.encoder.blocks(mapped)
        shares = F.softmax((logits + noise) / TEMPERATURE, dim=1)
        statistics = model.decoder.blocks(shares)
        log_q = F.log_softmax(logits, dim=1)
        divergence = (log_q.exp() * (log_q + np.log(ENTRIES))).sum(1).mean()
        error = F.mse_loss(median(statistics), images) if pixel == "l2" else logit_laplace(statistics, mapped)
        loss = error + KL_WEIGHT * divergence
        loss.backward()
        write(file, f"{pixel}/loss", loss)
        for name, parameter in model.named_parameters():
            write(file, f"{pixel}/gradients/{name}", parameter.grad)
    write(file, "logits", logits)
    write(file, "divergence", divergence)
    write(file, "statistics", statistics)
    write(file, "reconstruction", median(statistics))
    tokens = logits.argmax(1)
    write(file, "tokens", tokens)
    one_hot = F.one_hot(tokens, ENTRIES).permute(0, 3, 1, 2).double()
    write(file, "drawn", median(model.decoder.blocks(one_hot)).clamp(-1, 1))
