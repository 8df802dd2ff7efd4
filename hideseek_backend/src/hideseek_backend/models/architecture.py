"""Read the architecture of a reference autoencoder from the shapes of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hideseek_backend.dae import DaeConfig
from hideseek_backend.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]

_REMEDY = (
    "Checkpoints of the published kind are supported: one encoder, residual up- and downsampling, "
    "two-condition blocks, noise prediction on 1,000 linear betas."
)

# Settings that leave no trace in the weights: what the reference code sets, and this code runs.
_INVISIBLE: dict[str, tuple[Any, ...]] = {
    "T": (1000,),
    "beta_scheduler": ("linear",),
    "beatgans_model_mean_type": ("eps",),
    "beatgans_gen_type": ("ddim",),
    "net_enc_pool": ("adaptivenonzero",),
    "net_beatgans_resnet_two_cond": (True,),
    "net_resblock_updown": (True,),
    "net_enc_use_time": (False,),
    "two_encoders": (False,),
    "dims": (2,),
}


@dataclass(frozen=True)
class _Block:
    """One entry of input_blocks: what its residual block makes and what follows it."""

    channels: int
    widens: bool
    attention: bool


def architecture_of(
    shapes: Shapes, *, image_size: int | None = None, settings: Mapping[str, Any] | None = None
) -> DaeConfig:
    """Return the configuration whose network has exactly these weights.

    shapes: {parameter name: shape} of one autoencoder, without the `ema_model.` in front.
    image_size: of the checkpoint's x_T buffer, if it has one (64 otherwise). settings: the
    checkpoint's hyper-parameters, for what shapes cannot tell (attention heads).

    Raises ModelError naming what is not of the published kind.
    """
    settings = settings or {}
    _check_invisible(settings)
    embedding = _shape(shapes, "time_embed.time_embed.0.weight", 2)
    first = _shape(shapes, "input_blocks.0.0.weight", 4)
    last = _shape(shapes, "out.2.weight", 4)
    code = _shape(shapes, "encoder.out.3.weight", 4)
    if first[1] != last[0]:
        _refuse(f"it reads {first[1]} channels and predicts {last[0]}")
    base, side = embedding[1], image_size or int(settings.get("img_size") or 64)

    down = _blocks(shapes, "input_blocks")
    up = _count(shapes, "output_blocks")
    ups = sum(
        any(_is_residual(shapes, f"output_blocks.{i}.{j}") for j in (1, 2)) for i in range(up)
    )
    levels = ups + 1
    res_blocks = up // levels - 1
    if up % levels or res_blocks < 1 or len(down) != levels * (res_blocks + 1):
        _refuse(f"{len(down)} blocks lead down and {up} lead up through {levels} levels")
    _check_levels(down, res_blocks, "the network")

    encoder = _blocks(shapes, "encoder.input_blocks")
    attention = _attention_sides(down, res_blocks, side)
    encoder_res_blocks = _encoder_res_blocks(encoder, res_blocks, attention, side, settings)
    return DaeConfig(
        image_size=side,
        in_channels=first[1],
        base_channels=base,
        channel_mult=_multipliers(down, res_blocks, base),
        res_blocks=res_blocks,
        attention_resolutions=attention,
        attention_heads=int(settings.get("net_beatgans_attn_head") or 1),
        z_channels=code[0],
        embed_channels=embedding[0],
        encoder_base_channels=base,
        encoder_channel_mult=_multipliers(encoder, encoder_res_blocks, base),
        encoder_res_blocks=encoder_res_blocks,
        encoder_attention_resolutions=_attention_sides(encoder, encoder_res_blocks, side),
        encoder_grid=code[2],
    )


def _refuse(reason: str) -> NoReturn:
    raise ModelError(f"The checkpoint's network is of another kind: {reason}.", _REMEDY)


def _check_invisible(settings: Mapping[str, Any]) -> None:
    for key, known in _INVISIBLE.items():
        value = settings.get(key)
        if value is not None and value not in known and str(value).split(".")[-1] not in known:
            _refuse(f"its setting {key} is {value!r}, expected {known[0]!r}")


def _shape(shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != dimensions:
        _refuse(f"{name} is {'missing' if shape is None else f'of shape {tuple(shape)}'}")
    return tuple(shape)


def _is_residual(shapes: Shapes, prefix: str) -> bool:
    return f"{prefix}.in_layers.2.weight" in shapes


def _count(shapes: Shapes, group: str) -> int:
    """Number of entries of a module list; raises ModelError when one is missing."""
    found = {
        name[len(group) + 1 :].split(".")[0] for name in shapes if name.startswith(group + ".")
    }
    if not found or found != {str(i) for i in range(len(found))}:
        _refuse(f"{group} has gaps or is missing")
    return len(found)


def _blocks(shapes: Shapes, group: str) -> list[_Block]:
    """The residual blocks on the way down; the first is the convolution that reads the image.

    It stands in for the downsampling block that every other level begins with, so that the list
    splits into levels of equal length.
    """
    stem = _shape(shapes, f"{group}.0.0.weight", 4)
    blocks = [_Block(stem[0], False, False)]
    for i in range(1, _count(shapes, group)):
        prefix = f"{group}.{i}.0"
        weight = _shape(shapes, f"{prefix}.in_layers.2.weight", 4)
        attention = f"{group}.{i}.1.qkv.weight" in shapes
        blocks.append(_Block(weight[0], f"{prefix}.skip_connection.weight" in shapes, attention))
    return blocks


def _levels(blocks: Sequence[_Block], res_blocks: int) -> list[Sequence[_Block]]:
    """Split into levels: (stem or downsampling block, then `res_blocks` residual blocks)."""
    size = res_blocks + 1
    return [blocks[i : i + size] for i in range(0, len(blocks), size)]


def _fits(blocks: Sequence[_Block], res_blocks: int) -> bool:
    """Whether channels widen only at a level's first block and attention fills whole levels."""
    if len(blocks) % (res_blocks + 1):
        return False
    for level in _levels(blocks, res_blocks):
        sampling, residual = level[0], level[1:]
        if sampling.attention or sampling.widens or any(b.widens for b in residual[1:]):
            return False
        if len({b.attention for b in residual}) > 1 or len({b.channels for b in residual}) > 1:
            return False
    return True


def _check_levels(blocks: Sequence[_Block], res_blocks: int, what: str) -> None:
    if not _fits(blocks, res_blocks):
        _refuse(f"the {len(blocks)} blocks of {what} do not form levels of {res_blocks}")


def _encoder_res_blocks(
    blocks: Sequence[_Block],
    like: int,
    attention: tuple[int, ...],
    side: int,
    settings: Mapping[str, Any],
) -> int:
    """Residual blocks a level of the encoder.

    Downsampling leaves no weights, so several counts can fit. The checkpoint's own setting
    decides, then agreement with the network's attention sides, then with its count, then 2.
    """
    possible = [n for n in range(1, len(blocks)) if _fits(blocks, n)]
    possible = [n for n in possible if side >> (len(blocks) // (n + 1) - 1) >= 1]
    if not possible:
        _refuse(f"the {len(blocks)} blocks of the encoder form no levels")
    stated = settings.get("net_enc_num_res_blocks")
    if stated in possible:
        return int(stated)

    def unlikeliness(n: int) -> tuple[bool, bool, bool]:
        return _attention_sides(blocks, n, side) != attention, n != like, n != 2

    return min(possible, key=unlikeliness)


def _attention_sides(blocks: Sequence[_Block], res_blocks: int, side: int) -> tuple[int, ...]:
    levels = enumerate(_levels(blocks, res_blocks))
    return tuple(side >> i for i, level in levels if level[-1].attention)


def _multipliers(blocks: Sequence[_Block], res_blocks: int, base: int) -> tuple[float, ...]:
    ratios = [level[-1].channels / base for level in _levels(blocks, res_blocks)]
    return tuple(int(r) if r == int(r) else r for r in ratios)
