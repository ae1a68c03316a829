"""Writes resnet50.h5: the features of torchvision's ResNet-50 after its four stages, perceptual losses on them and their
gradients with respect to the image, in float64. Images are 40 x 32 in [-1, 1], channels last.

The 25 million weights are not stored: both sides compute them from a hash of the parameter's and the element's number.

    python make_resnet_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from hashed import uniform

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor x) -> Tensor")
    library.define("qnms(Tensor x) -> Tensor")
from torchvision.models import resnet50  # noqa: E402


def fill(number, name, shape):
    u = uniform(number, int(np.prod(shape))).reshape(shape)
    if len(shape) == 4:
        return ((u - np.float32(0.5)) * np.float32(2 * (6 / np.prod(shape[1:])) ** 0.5)).astype(np.float32)
    if name.endswith("running_mean"):
        return (u - np.float32(0.5)) * np.float32(0.5)
    if name.endswith("running_var") or name.endswith("weight"):
        return u + np.float32(0.5)
    return u - np.float32(0.5)


network = resnet50(weights=None).double().eval()
state = network.state_dict()
names = sorted(name for name in state if not name.startswith("fc.") and not name.endswith("num_batches_tracked"))
for number, name in enumerate(names):
    state[name].copy_(torch.from_numpy(fill(number, name, tuple(state[name].shape)).astype(np.float64)))

mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
deviation = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]


def features(x):
    h = network.maxpool(F.relu(network.bn1(network.conv1(((x + 1) / 2 - mean) / deviation))))
    result = []
    for stage in [network.layer1, network.layer2, network.layer3, network.layer4]:
        h = stage(h)
        result.append(h)
    return result


def mean_squared(x, y):
    return sum(((a - b) ** 2).mean() for a, b in zip(features(x), features(y)))


def lpips(x, y, weighted):
    total = 0
    for depth, (a, b) in enumerate(zip(features(x), features(y))):
        a, b = (h / ((h ** 2).sum(1, keepdim=True).sqrt() + 1e-10) for h in (a, b))
        weights = torch.from_numpy(uniform(1000 + depth, a.shape[1]).astype(np.float64)) if weighted else torch.ones(a.shape[1]).double()
        total = total + ((a - b) ** 2 * weights[:, None, None]).sum(1).mean()
    return total


torch.manual_seed(0)
image, target = (((torch.rand(1, 3, 40, 32) * 2 - 1) * 0.9).float().double() for _ in range(2))
with h5py.File(Path(__file__).with_name("resnet50.h5"), "w") as out:

    def store(name, value):
        value = value.detach()
        value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
        out.create_dataset(name, data=value.numpy().astype(np.float32), **(
            {"compression": "gzip", "shuffle": True} if value.ndim else {}))

    store("image", image)
    store("target", target)
    for depth, h in enumerate(features(image)):
        store(f"features/{depth}", h)
    losses = {"mean_squared": mean_squared, "unit_channels": lambda x, y: lpips(x, y, False),
              "weighted_channels": lambda x, y: lpips(x, y, True)}
    for name, loss in losses.items():
        x = image.clone().requires_grad_()
        value = loss(x, target)
        value.backward()
        store(f"loss/{name}/value", value)
        store(f"loss/{name}/gradient", x.grad)
