"""Install published models from their public places."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hideseek_backend.errors import ModelError
from hideseek_backend.models.download import TIMEOUT_S, DownloadProgress, RemoteFile, download
from hideseek_backend.models.places import models_folder
from hideseek_backend.models.reference_import import DAE_VERTS, import_reference
from hideseek_backend.models.spec import ModelSpec
from hideseek_backend.models.store import verify_folder

_HUGGING_FACE = "https://huggingface.co/matanatad/dae_verts/resolve/main/"
# The commit whose files the published checksums belong to.
_GITHUB = (
    "https://raw.githubusercontent.com/matanat/hide_and_seek/"
    "8b8c647c4d1434c94df696a405456902d741dbf2/"
)

FILES: Mapping[str, RemoteFile] = {
    # Neither a checksum nor a commit of it is published: `main` may move. What is fetched is
    # recorded in the model's spec, and a later fetch must be the same.
    "dae": RemoteFile("last.ckpt", _HUGGING_FACE + "last.ckpt", "", 8 * 2**30),
}
"""The released autoencoder of Atad et al. 2025 (MIT licence)."""

SAMPLE_FILES: Mapping[str, RemoteFile] = {
    "ct": RemoteFile("sample_ct.nii", _GITHUB + "data/sample/sample_ct.nii", "", 64 * 2**20),
    "body": RemoteFile("sample_seg.nii", _GITHUB + "data/sample/sample_seg.nii", "", 64 * 2**20),
}
"""The vertebra of the authors' notebook: a 64³ crop and its body mask."""

INSTALLABLE = (DAE_VERTS,)


def install(
    name: str = DAE_VERTS,
    *,
    half: bool = False,
    files: Mapping[str, RemoteFile] | None = None,
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT_S,
    replace_installed: bool = False,
    sha256: str = "",
) -> tuple[ModelSpec, Path]:
    """Download a published model, import it, and return (spec, folder).

    The checkpoint comes to `downloads/<name>` beside the installed models, where an interrupted
    download goes on, and is removed once the model is whole. An installed model is left as it is
    unless `replace_installed`; then the checkpoint must be the one that was installed. sha256: what
    it must be, in place of that. files: other places, for mirrors and tests.

    Raises ModelError for a name that is not published, and as `download` and `import_reference`.
    """
    if name not in INSTALLABLE:
        raise ModelError(
            f"{name!r} cannot be installed.", f"Published models: {', '.join(INSTALLABLE)}."
        )
    folder = models_folder() / name
    if folder.exists() and not replace_installed:
        spec, _ = verify_folder(folder)
        return spec, folder
    sha256 = sha256 or _installed_from(folder)
    downloads = models_folder() / "downloads" / name
    place = (FILES if files is None else files)["dae"]
    place = replace(place, sha256=sha256.lower() or place.sha256)
    checkpoint = download(place, downloads, progress=progress, timeout=timeout)
    # The classifier's numbers come with the package.
    spec = import_reference(checkpoint, None, None, folder, half=half, name=name)
    shutil.rmtree(downloads, ignore_errors=True)
    return spec, folder


def _installed_from(folder: Path) -> str:
    """sha256 of the checkpoint that an installed model was made of; "" where that is not known."""
    try:
        spec, _ = verify_folder(folder)
    except ModelError:
        return ""  # nothing there, or damaged: what is to be repaired says nothing
    return str(spec.source.get("dae", {}).get("sha256", ""))


def fetch_sample(
    *,
    files: Mapping[str, RemoteFile] | None = None,
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT_S,
) -> tuple[Path, Path]:
    """Download the notebook's sample beside the installed models; return (CT crop, body mask).

    Raises ModelError as `download`.
    """
    places = SAMPLE_FILES if files is None else files
    folder = models_folder() / "downloads" / "sample"
    ct, body = (
        download(places[part], folder, progress=progress, timeout=timeout)
        for part in ("ct", "body")
    )
    return ct, body


def mirrored(base_url: str) -> dict[str, RemoteFile]:
    """The same files, with the same checksums, from a mirror: base_url + file name."""
    base = base_url.rstrip("/") + "/"
    return {part: replace(file, url=base + file.name) for part, file in FILES.items()}
