"""Pieces of work on several threads: in order, with the same result, and nothing changed after."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from tiny_model import write_tiny_model
from torch_threads import torch_threads

from hideseek_backend.attribution.network import Network
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.threads import side_by_side
from hideseek_backend.errors import Cancelled
from hideseek_backend.models.store import Model, load_model
from hideseek_backend.progress import Meter, Progress


@pytest.fixture
def two_threads() -> Iterator[None]:
    with torch_threads(2):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny"), "cpu")


@pytest.mark.usefixtures("two_threads")
def test_pieces_keep_their_order_and_share_torchs_threads() -> None:
    meet = threading.Barrier(2, timeout=30)

    def work(piece: int) -> tuple[int, int, int]:
        meet.wait()  # two are at work at once, or this never returns
        return piece, torch.get_num_threads(), threading.get_ident()

    found = side_by_side(work, [0, 1, 2, 3], 2)
    assert [piece for piece, _, _ in found] == [0, 1, 2, 3]
    assert {threads for _, threads, _ in found} == {1}
    assert threading.get_ident() not in {thread for _, _, thread in found}
    assert torch.get_num_threads() == 2
    own = side_by_side(lambda _: threading.get_ident(), [0], 2)
    assert own == [threading.get_ident()]  # one piece has all threads


@pytest.mark.usefixtures("two_threads")
def test_what_a_piece_raises_is_raised() -> None:
    def work(piece: int) -> int:
        if piece == 1:
            raise Cancelled()
        return piece

    with pytest.raises(Cancelled):
        side_by_side(work, [0, 1, 2], 2)
    assert torch.get_num_threads() == 2


def test_two_threads_give_what_one_gives(model: Model) -> None:
    """Chunks are the same whatever the threads, and so are the results, to the last bit."""
    options = Options.for_protocol("fast", model.spec.defaults, invert_steps=2, render_steps=2)
    images = torch.rand(13, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    before, results, seen = torch.get_num_threads(), [], []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        steps: list[Progress] = []
        meter = Meter(steps.append, None, "L1")
        meter.phase("edit", 100, 13 * 5)
        network = Network(model.dae, "cpu", options, meter)
        z = network.encode(images)
        results.append(network.render(network.invert(images, z), z))
        seen.append([step.done for step in steps])
    torch.set_num_threads(before)
    assert torch.equal(*results)
    assert all(done == sorted(done) and done[-1] == 100 for done in seen)
