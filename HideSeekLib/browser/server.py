"""The server of the review: who may connect, files that come and go, and its end."""

from __future__ import annotations

import asyncio
import hmac
import os
import shlex
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web
from trame.app import get_server

from HideSeekLib.browser import sources
from HideSeekLib.browser.application import Application
from HideSeekLib.browser.page import Page
from HideSeekLib.browser.process import AsyncioTransport
from HideSeekLib.browser.reviewer import Reviewer
from HideSeekLib.errors import SceneError
from HideSeekLib.worker.settings import BackendSettings

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Options:
    """What the command asks for. token: a page without it sees nothing.

    worker: program and arguments of the backend's worker. labels: scheme of label values.
    out: folder for exports and saved scenes.
    """

    paths: tuple[Path, ...]
    worker: tuple[str, ...]
    token: str
    out: Path
    host: str = "127.0.0.1"
    port: int = 0
    labels: str = ""
    model: str = "bundled"
    device: str = "auto"
    browse: bool = True


def serve(options: Options, say: Any) -> None:
    """Serve the review until it is interrupted. say: takes lines for the terminal.

    Raises SceneError when the first case cannot be opened.
    """
    server = get_server("hideseek-review", client_type="vue3")
    app = Application(server)
    page = Page(server, app)
    settings = BackendSettings(model=options.model, device=options.device)
    reviewer = Reviewer(
        app, lambda: AsyncioTransport(options.worker), settings, options.out, page.changed
    )
    if options.paths:
        reviewer.open(options.paths)
        if options.labels:
            reviewer.use_scheme(options.labels)
    page.begin(reviewer, options.token)
    port = options.port or _free_port(options.host)
    with tempfile.TemporaryDirectory(prefix="hideseek-review-") as folder:
        routes = _Routes(options, page, reviewer, Path(folder))
        server.controller.on_server_bind.add(routes.bind)

        async def ready(**_state: Any) -> None:
            _announce(options, port, say)
            await reviewer.run(page.act, page.stale)

        def start_work(**_state: Any) -> None:
            asyncio.get_running_loop().create_task(ready())

        server.controller.on_server_ready.add(start_work)
        try:
            _start(server, options, port, Path(folder))
        finally:
            reviewer.close()


def _start(server: Any, options: Options, port: int, folder: Path) -> None:
    # trame reads the token from a file that the command line names. A file of a private folder:
    # other users of the machine see command lines.
    key = folder / "token"
    key.write_text(options.token, encoding="utf-8")
    # What is large in the web socket is JPEG: packing it again takes time and saves nothing.
    os.environ["TRAME_ARGS"] = f"--authKeyFile {shlex.quote(str(key))} --no-ws-compress"
    sys.argv[1:] = []
    server.start(
        port=port,
        host=options.host,
        open_browser=False,
        show_connection_info=False,
        timeout=0,
        exec_mode="main",
        backend="aiohttp",
    )


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _announce(options: Options, port: int, say: Any) -> None:
    address = f"http://{options.host}:{port}/index.html?secret={options.token}"
    say(f"Review: {address}")
    if options.host == "127.0.0.1":
        name = socket.gethostname()
        say(
            f"From another computer: ssh -L {port}:127.0.0.1:{port} {name}  then open the same page"
        )
    say(f"Exports and saved scenes: {options.out}")
    say("Research use only, not cleared for diagnosis. Ctrl-C ends the review.")
    if options.browse:
        webbrowser.open(address)


class _Routes:
    """Uploads and downloads beside trame's own pages; both need the token."""

    def __init__(self, options: Options, page: Page, reviewer: Reviewer, inbox: Path) -> None:
        self.options, self.page, self.reviewer, self.inbox = options, page, reviewer, inbox
        self._received: dict[str, Path] = {}
        self._number = 0
        page.server.controller.trigger("upload_ends")(self._uploaded)

    def bind(self, wslink_server: Any) -> None:
        """Add the routes to the web server."""
        wslink_server.app.add_routes(
            [web.post("/upload", self.upload), web.get("/files/{name}", self.download)]
        )

    def _allowed(self, request: web.Request) -> bool:
        given = request.query.get("secret", "")
        return hmac.compare_digest(given.encode(), self.options.token.encode())

    async def upload(self, request: web.Request) -> web.Response:
        """Receive one file; answers with a name for it."""
        if not self._allowed(request):
            return web.Response(status=403, text="The address lacks the token.")
        try:
            name = sources.checked_name(request.query.get("name", ""))
        except SceneError as error:
            return web.Response(status=400, text=str(error))
        self._number += 1
        folder = self.inbox / str(self._number)
        folder.mkdir()
        with (folder / name).open("wb") as file:
            async for data in request.content.iter_chunked(_CHUNK):
                file.write(data)
        self._received[str(self._number)] = folder / name
        return web.Response(text=str(self._number))

    def _uploaded(self, numbers: Sequence[str], purpose: str) -> None:
        paths = [self._received.pop(n) for n in numbers if n in self._received]
        self.page.state.uploading = False
        if purpose == "regions":
            for path in paths:
                self.page.act(partial(self.reviewer.regions.load, path))
        else:
            self.page.act(lambda: self.reviewer.open(paths))
        for path in paths:
            path.unlink(missing_ok=True)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send a file that this review wrote, and no other."""
        if not self._allowed(request):
            return web.Response(status=403, text="The address lacks the token.")
        name = request.match_info["name"]
        for path in self.reviewer.files():
            if path.name == name and path.is_file():
                shown = name.endswith(".html")
                kind = "inline" if shown else "attachment"
                headers = {"Content-Disposition": f'{kind}; filename="{name}"'}
                return web.FileResponse(path, headers=headers)
        return web.Response(status=404, text="This review wrote no such file.")
