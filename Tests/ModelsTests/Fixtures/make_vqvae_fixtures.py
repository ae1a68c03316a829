"""Writes vqvae.h5 and vgg16.h5: a small VQ-VAE in VQGAN's published form, and VGG-16 in torchvision's layout at a
sixteenth of its width; forward, loss and every gradient in PyTorch.

    python make_vqvae_fixtures.py
"""

import copy
import pathlib

import h5py
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).parent


def write(file, name, value):
    value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    value = value.astype(np.int32 if value.dtype.kind == "i" else np.float32)
    file.create_dataset(name, data=value)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def round_to_float32(module):
    for parameter in module.parameters():
        parameter.data = parameter.data.float().double()


# The encoder and decoder of Esser et al., "Taming Transformers for High-Resolution Image Synthesis", with the
# published code's names.
def norm(channels, groups=4):
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.norm1, self.conv1 = norm(channels), nn.Conv2d(channels, out, 3, 1, 1)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, 1, 1)
        self.nin_shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class AttnBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        b, c, height, width = x.shape
        q, k, v = (f(h).reshape(b, c, -1) for f in (self.q, self.k, self.v))
        w = torch.softmax(torch.bmm(q.permute(0, 2, 1), k) * int(c) ** -0.5, dim=2)
        h = torch.bmm(v, w.permute(0, 2, 1)).reshape(b, c, height, width)
        return x + self.proj_out(h)


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2, 0)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def middle(channels):
    mid = nn.Module()
    mid.block_1, mid.attn_1, mid.block_2 = ResnetBlock(channels, channels), AttnBlock(channels), ResnetBlock(channels, channels)
    return mid


class Encoder(nn.Module):
    def __init__(self, width, multipliers, blocks, code):
        super().__init__()
        self.conv_in = nn.Conv2d(3, width, 3, 1, 1)
        self.down = nn.ModuleList()
        channels = width
        for level, multiplier in enumerate(multipliers):
            down = nn.Module()
            down.block, down.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks):
                down.block.append(ResnetBlock(channels, width * multiplier))
                channels = width * multiplier
                if level == len(multipliers) - 1:
                    down.attn.append(AttnBlock(channels))
            if level != len(multipliers) - 1:
                down.downsample = Downsample(channels)
            self.down.append(down)
        self.mid = middle(channels)
        self.norm_out, self.conv_out = norm(channels), nn.Conv2d(channels, code, 3, 1, 1)

    def forward(self, x):
        h = self.conv_in(x)
        for down in self.down:
            for i, block in enumerate(down.block):
                h = block(h)
                if len(down.attn):
                    h = down.attn[i](h)
            if hasattr(down, "downsample"):
                h = down.downsample(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self, width, multipliers, blocks, code):
        super().__init__()
        channels = width * multipliers[-1]
        self.conv_in = nn.Conv2d(code, channels, 3, 1, 1)
        self.mid = middle(channels)
        ups = []
        for level in reversed(range(len(multipliers))):
            up = nn.Module()
            up.block, up.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks):
                up.block.append(ResnetBlock(channels, width * multipliers[level]))
                channels = width * multipliers[level]
                if level == len(multipliers) - 1:
                    up.attn.append(AttnBlock(channels))
            if level != 0:
                up.upsample = Upsample(channels)
            ups.insert(0, up)
        self.up = nn.ModuleList(ups)
        self.norm_out, self.conv_out = norm(channels), nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, z):
        h = self.conv_in(z)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        for up in reversed(self.up):
            for i, block in enumerate(up.block):
                h = block(h)
                if len(up.attn):
                    h = up.attn[i](h)
            if hasattr(up, "upsample"):
                h = up.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class VQVAE(nn.Module):
    def __init__(self, width=8, multipliers=(1, 2), blocks=1, extra=1, tokens=32, length=8):
        super().__init__()
        self.encoder = Encoder(width, multipliers, blocks, length)
        self.quant_conv = nn.Conv2d(length, length, 1)
        self.post_quant_conv = nn.Conv2d(length, length, 1)
        self.decoder = Decoder(width, multipliers, blocks + extra, length)
        self.embedding = 0.3 * torch.randn(tokens, length).float().double()

    def forward(self, x):
        z = channels_last(self.quant_conv(self.encoder(x)))
        indices = torch.cdist(z.reshape(-1, z.shape[-1]), self.embedding).argmin(1)
        quantized = self.embedding[indices].reshape(z.shape)
        commitment = ((z - quantized) ** 2).mean()
        straight = z + (quantized - z).detach()
        return z, indices, commitment, self.decoder(self.post_quant_conv(straight.permute(0, 3, 1, 2)))


torch.manual_seed(0)
model = VQVAE()
round_to_float32(model)
images = (torch.rand(2, 3, 16, 16) * 2 - 1).float().double()
z, indices, commitment, reconstruction = model(images)
loss = F.mse_loss(reconstruction, images) + 0.25 * commitment
loss.backward()
with h5py.File(here / "vqvae.h5", "w") as file:
    write(file, "images", channels_last(images))
    write(file, "encoded", z)
    write(file, "indices", indices)
    write(file, "commitment", commitment)
    write(file, "reconstruction", channels_last(reconstruction))
    write(file, "loss", loss)
    write(file, "embedding", model.embedding)
    for name, parameter in model.named_parameters():
        write(file, "parameters/" + name, parameter)
        write(file, "gradients/" + name, parameter.grad)


def margin(image):
    """How much farther the second nearest entry is than the nearest, for the vector where that is least."""
    with torch.no_grad():
        vectors = channels_last(model.quant_conv(model.encoder(image))).reshape(-1, model.embedding.shape[1])
        nearest = torch.cdist(vectors, model.embedding).topk(2, largest=False).values
    return (nearest[:, 1] - nearest[:, 0]).min().item()


# Of many images the one whose tokens rounding changes least: another token would be another loss.
candidates = [(torch.rand(1, 3, 16, 16) * 2 - 1).float().double() for _ in range(2000)]
image = max(candidates, key=margin)
model.zero_grad()
_, indices, commitment, reconstruction = model(image)
loss = F.mse_loss(reconstruction, image) + 0.25 * commitment
loss.backward()
rough = copy.deepcopy(model).float()
rough.embedding = rough.embedding.float()
rough.zero_grad()
with torch.autocast("cpu", dtype=torch.bfloat16):
    _, rough_indices, rough_commitment, rough_reconstruction = rough(image.float())
    rough_loss = F.mse_loss(rough_reconstruction.float(), image.float()) + 0.25 * rough_commitment
rough_loss.backward()
assert (rough_indices == indices).all()
with h5py.File(here / "vqvae.h5", "a") as file:
    write(file, "precision/images", channels_last(image))
    write(file, "precision/indices", indices)
    write(file, "precision/loss", loss)
    # How near autocast to bfloat16 comes: the relative error of the loss, the cosines of gradients.
    write(file, "precision/autocast/loss", (rough_loss / loss - 1).abs())
    for (name, parameter), (_, other) in zip(model.named_parameters(), rough.named_parameters()):
        cosine = F.cosine_similarity(parameter.grad.flatten(), other.grad.double().flatten(), 0)
        write(file, "precision/gradients/" + name, parameter.grad)
        write(file, "precision/autocast/" + name, cosine)

torch.manual_seed(1)
cfg = [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]
layers, channels = [], 3
for width in cfg:
    if width == "M":
        layers.append(nn.MaxPool2d(2, 2))
    else:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        channels = width
vgg = nn.Sequential(*layers)
for module in vgg:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(module.bias, std=0.1)
round_to_float32(vgg)
mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def features(x):
    h, result = ((x + 1) / 2 - mean) / deviation, []
    for index, layer in enumerate(vgg):
        h = layer(h)
        if index in (3, 8, 15, 22, 29):
            result.append(h)
    return result


images = (torch.rand(2, 3, 32, 32) * 2 - 1).float().double().requires_grad_()
target = (torch.rand(2, 3, 32, 32) * 2 - 1).float().double()
found = features(images)
with torch.no_grad():
    wanted = features(target)
with h5py.File(here / "vgg16.h5", "w") as file:
    write(file, "images", channels_last(images))
    write(file, "target", channels_last(target))
    for index, layer in enumerate(found):
        write(file, f"features/{index}", channels_last(layer))
    for name, unit in [("mean_squared", False), ("unit_channels", True)]:
        def unit_length(t):
            return t / (t.norm(dim=1, keepdim=True) + 1e-10) if unit else t

        loss = sum(((unit_length(a) - unit_length(b)) ** 2).sum(1).mean() / (1 if unit else a.shape[1])
                   for a, b in zip(found, wanted))
        gradient, = torch.autograd.grad(loss, images, retain_graph=True)
        write(file, f"loss/{name}/value", loss)
        write(file, f"loss/{name}/gradient", channels_last(gradient))
    for name, parameter in vgg.named_parameters():
        write(file, "parameters/features." + name, parameter)
