"""A compact convolutional transformer (CCT) for 32 x 32 images, in PyTorch.

The idea is that of Hassani et al. 2021, "Escaping the Big Data Paradigm with Compact Transformers"
(arXiv:2104.05704): a convolutional stem makes the tokens, so that a small data set is enough, and
attention over the tokens ("sequence pooling") replaces the class token.

    pixels                                                                                    [3, 32, 32]
      -> stem: four times conv 3x3, batch norm, ReLU; max pooling after the first and second  [128, 8, 8]
      -> 64 tokens + position embedding                                                       [64, 128]
      -> 2 pre-norm transformer blocks: attention, then an MLP with the exact GELU            [64, 128]
      -> layer norm -> sequence pooling -> linear                                             [10]
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from cifar10 import CLASSES, IMAGE_SIZE

LAYER_NORM_EPS = 1e-5
BATCH_NORM_EPS = 1e-5


class StemStage(nn.Module):
    """conv 3x3 (no bias: the batch norm has one), batch norm, ReLU, and max pooling 2x2 where asked."""

    def __init__(self, channels_in: int, channels_out: int, pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out, eps=BATCH_NORM_EPS)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        return F.max_pool2d(x, 2) if self.pool else x


class Attention(nn.Module):
    """Multi-head self-attention; one matrix makes query, key and value, in this order."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, mlp_ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class SequencePool(nn.Module):
    """One score per token; the softmax over the tokens weighs them into one vector."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.score(x).softmax(dim=1)  # [batch, tokens, 1]
        return (weights * x).sum(dim=1)


class Cct(nn.Module):
    def __init__(
        self,
        stem: tuple[int, ...] = (48, 96, 128, 128),
        pooled: tuple[bool, ...] = (True, True, False, False),
        blocks: int = 2,
        heads: int = 4,
        mlp_ratio: int = 2,
        classes: int = len(CLASSES),
    ) -> None:
        super().__init__()
        dim = stem[-1]
        tokens = (IMAGE_SIZE >> sum(pooled)) ** 2
        channels = (3, *stem)
        self.stem = nn.Sequential(*(StemStage(a, b, p) for a, b, p in zip(channels, stem, pooled)))
        self.position_embedding = nn.Parameter(torch.zeros(tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp_ratio) for _ in range(blocks)))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.pool = SequencePool(dim)
        self.head = nn.Linear(dim, classes)
        self.apply(_init)
        nn.init.trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: [batch, 3, 32, 32], normalised; returns logits [batch, classes]."""
        x = self.stem(pixels).flatten(2).transpose(1, 2)  # tokens in row-major order
        x = self.blocks(x + self.position_embedding)
        return self.head(self.pool(self.norm(x)))


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def load(folder: Path) -> Cct:
    """The model of a folder, ready to classify. The file holds no `num_batches_tracked`."""
    model = Cct()
    missing, unexpected = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if wrong:
        raise ValueError(f"{folder}: not the weights of this model: {', '.join(wrong)}")
    return model.eval()
