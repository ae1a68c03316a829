"""PeCo's tokenizer in PyTorch: VQGAN's published encoder and decoder with two residual blocks a level on both sides,
self-attention at the smallest resolution, and a codebook that learns by exponential moving averages.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

MULTIPLIERS, BLOCKS, ENTRIES, LENGTH = (1, 1, 2, 2, 4), 2, 8192, 256
COMMITMENT = 0.25


def norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.norm1, self.conv1 = norm(channels), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = norm(out), nn.Conv2d(out, out, 3, padding=1)
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
        q, k, v = (f(h).flatten(2).transpose(1, 2).unsqueeze(1) for f in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).reshape(b, c, height, width)
        return x + self.proj_out(h)


class Resample(nn.Module):
    """Half the resolution by a convolution of stride 2, or twice by repeated pixels and a convolution."""

    def __init__(self, channels, up):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(channels, channels, 3, stride=1 if up else 2, padding=1 if up else 0)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else F.pad(x, (0, 1, 0, 1)))


def middle(channels):
    mid = nn.Module()
    mid.block_1, mid.attn_1 = ResnetBlock(channels, channels), AttnBlock(channels)
    mid.block_2 = ResnetBlock(channels, channels)
    return mid


def level(channels, out, attends):
    made = nn.Module()
    made.block = nn.ModuleList(ResnetBlock(channels if i == 0 else out, out) for i in range(BLOCKS))
    made.attn = nn.ModuleList(AttnBlock(out) for _ in range(BLOCKS if attends else 0))
    return made


def run_middle(mid, x):
    return mid.block_2(mid.attn_1(mid.block_1(x)))


def run_level(made, x):
    for i, block in enumerate(made.block):
        x = block(x)
        if len(made.attn):
            x = made.attn[i](x)
    return x


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        widths = [width * m for m in MULTIPLIERS]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(level(widths[max(0, i - 1)], widths[i], i == last) for i in range(last + 1))
        for i in range(last):
            self.down[i].downsample = Resample(widths[i], up=False)
        self.mid = middle(widths[-1])
        self.norm_out, self.conv_out = norm(widths[-1]), nn.Conv2d(widths[-1], LENGTH, 3, padding=1)

    def forward(self, x):
        h = self.conv_in(x)
        for down in self.down:
            h = run_level(down, h)
            if hasattr(down, "downsample"):
                h = down.downsample(h)
        return self.conv_out(F.silu(self.norm_out(run_middle(self.mid, h))))


class Decoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        widths = [width * m for m in MULTIPLIERS]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(LENGTH, widths[-1], 3, padding=1)
        self.mid = middle(widths[-1])
        self.up = nn.ModuleList(level(widths[min(i + 1, last)], widths[i], i == last) for i in range(last + 1))
        for i in range(1, last + 1):
            self.up[i].upsample = Resample(widths[i], up=True)
        self.norm_out, self.conv_out = norm(widths[0]), nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z):
        h = run_middle(self.mid, self.conv_in(z))
        for up in reversed(self.up):
            h = run_level(up, h)
            if hasattr(up, "upsample"):
                h = up.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Quantizer(nn.Module):
    """The codebook: the nearest token of each vector, and moving averages of the vectors that went to each."""

    def __init__(self, decay=0.99, epsilon=1e-5):
        super().__init__()
        self.decay, self.epsilon = decay, epsilon
        self.register_buffer("embedding", torch.zeros(ENTRIES, LENGTH))
        self.averages = None

    def nearest(self, z):
        """Index of the nearest token for each row: the distance, less what is the same for all tokens."""
        return torch.addmm((self.embedding ** 2).sum(1), z, self.embedding.t(), alpha=-2).argmin(1)

    @torch.no_grad()
    def update(self, z, indices):
        if self.averages is None:
            self.averages = torch.ones(ENTRIES), self.embedding.clone()
        sizes, sums = self.averages
        sizes.mul_(self.decay).add_(torch.bincount(indices, minlength=ENTRIES), alpha=1 - self.decay)
        sums.mul_(self.decay).index_add_(0, indices, z.to(sums.dtype), alpha=1 - self.decay)
        total = sizes.sum()
        smoothed = (sizes + self.epsilon) * (total / (total + ENTRIES * self.epsilon))
        torch.div(sums, smoothed[:, None], out=self.embedding)


class VQVAE(nn.Module):
    """Images [B, 3, 224, 224] in [-1, 1]."""

    def __init__(self, width):
        super().__init__()
        self.encoder, self.decoder = Encoder(width), Decoder(width)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(LENGTH, LENGTH, 1), nn.Conv2d(LENGTH, LENGTH, 1)
        self.quantize = Quantizer()

    def encode(self, images):
        """Vectors before the codebook, a row each."""
        return self.quant_conv(self.encoder(images)).permute(0, 2, 3, 1).reshape(-1, LENGTH)

    def decode(self, rows, shape):
        b, height, width = shape[0], shape[2] // 16, shape[3] // 16
        return self.decoder(self.post_quant_conv(rows.view(b, height, width, LENGTH).permute(0, 3, 1, 2)))

    def forward(self, images):
        """The loss: squared difference of pixels, and commitment."""
        z = self.encode(images)
        indices = self.quantize.nearest(z.detach())
        tokens = self.quantize.embedding[indices]
        loss = F.mse_loss(self.decode(z + (tokens - z).detach(), images.shape), images)
        loss = loss + COMMITMENT * F.mse_loss(z, tokens)
        if self.training:
            self.quantize.update(z.detach(), indices)
        return loss
