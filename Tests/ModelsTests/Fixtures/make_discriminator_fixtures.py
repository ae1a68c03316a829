"""Writes discriminator.h5: VQGAN's patch discriminator with group normalization, its hinge loss and gradients, and the
generator's loss with the adaptive weight, in PyTorch.

    python make_discriminator_fixtures.py
"""

import pathlib

import h5py
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
WIDTH, LAYERS = 4, 3


def round_to_float32(module):
    for parameter in module.parameters():
        parameter.data = parameter.data.float().double()


def channels_last(x):
    return x.permute(0, 2, 3, 1)


modules, channels = [nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2)], WIDTH
for number in range(1, LAYERS + 1):
    width = WIDTH * min(2**number, 8)
    stride = 2 if number < LAYERS else 1
    modules += [
        nn.Conv2d(channels, width, 4, stride, 1, bias=False),
        nn.GroupNorm(np.gcd(32, width), width, eps=1e-6),
        nn.LeakyReLU(0.2),
    ]
    channels = width
modules.append(nn.Conv2d(channels, 1, 4, 1, 1))
discriminator = nn.Module()
discriminator.main = nn.Sequential(*modules)
for parameter in discriminator.parameters():
    # Large enough that scores lie on both sides of the hinges.
    nn.init.normal_(parameter, std=0.3)
round_to_float32(discriminator)

last = nn.Conv2d(5, 3, 3, 1, 1)
round_to_float32(last)
features = torch.randn(2, 5, 32, 32).float().double().requires_grad_()
real = (torch.rand(2, 3, 32, 32) * 2 - 1).float().double()

with h5py.File(pathlib.Path(__file__).with_name("discriminator.h5"), "w") as file:

    def write(name, value):
        value = value.detach()
        if value.dim() == 4 and "weight" not in name:
            value = channels_last(value)
        file.create_dataset(name, data=value.numpy().astype(np.float32))

    for name, parameter in discriminator.named_parameters():
        write("parameters/" + name, parameter)
    write("last/weight", last.weight)
    write("last/bias", last.bias)
    write("features", features)
    write("real", real)

    # The generator's step.
    fake = last(features)
    reconstruction_loss = F.l1_loss(fake, real)
    adversarial = -discriminator.main(fake).mean()
    (plain,) = torch.autograd.grad(reconstruction_loss, last.weight, retain_graph=True)
    (pull,) = torch.autograd.grad(adversarial, last.weight, retain_graph=True)
    factor = 0.8 * (plain.norm() / (pull.norm() + 1e-4)).clamp(0, 1e4)
    total = reconstruction_loss + factor * adversarial
    total.backward()
    write("fake", fake)
    write("generator/adversarial", adversarial)
    write("generator/weight", factor)
    write("generator/total", total)
    write("generator/dfeatures", features.grad)
    write("generator/dlast", last.weight.grad.reshape(-1))

    # The discriminator's.
    discriminator.zero_grad()
    scores = discriminator.main(real), discriminator.main(fake.detach())
    loss = 0.5 * (F.relu(1 - scores[0]).mean() + F.relu(1 + scores[1]).mean())
    loss.backward()
    for score, name in zip(scores, ["real", "fake"]):
        side = score if name == "fake" else -score
        print(name, "beyond the hinge:", float((side < -1).double().mean()))
        write(f"scores/{name}", score)
    write("loss", loss)
    for name, parameter in discriminator.named_parameters():
        write("gradients/" + name, parameter.grad)
