"""Where a study is fetched from or results are sent to: one node, by url or by configured name."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hideseek_backend.dicom.needs import need
from hideseek_backend.errors import InputError, MissingDependencyError

CALLING = "HIDESEEK"
NODES_FILE = "HIDESEEK_DICOM_NODES"
"""Environment variable: a JSON file {name: {"url", "calling", "ca", "cert", "key"}}."""
USER, PASSWORD, TOKEN = (f"HIDESEEK_DICOM_{word}" for word in ("USER", "PASSWORD", "TOKEN"))
_KEYRING = "hideseek-dicom"
_SCHEMES = ("dicom", "dicoms", "http", "https")
_AE_TITLE = re.compile(r"[A-Za-z0-9_.\- ]{1,16}")


@dataclass(frozen=True)
class Node:
    """A PACS. scheme: dicom or dicoms (DIMSE, the latter in TLS), http or https (DICOMweb).

    url: of DICOMweb. called, calling: application entity titles. ca, cert, key: PEM files of TLS.
    """

    scheme: str
    host: str
    port: int
    url: str
    called: str = ""
    calling: str = CALLING
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def web(self) -> bool:
        """Speaks DICOMweb."""
        return self.scheme in ("http", "https")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def find_node(name: str) -> Node:
    """Return the node of a url (dicom://TITLE@host:port, https://host/dicom-web) or of a name.

    Raises InputError for an unknown name, a password in the url, or an open line to another
    machine for DICOMweb (http without TLS is for this machine alone).
    """
    if "://" in name:
        return _node(name, {})
    file = os.environ.get(NODES_FILE, "")
    try:
        known = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
        settings = known.get(name)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"Expected nodes as JSON in the file that {NODES_FILE} names, but it cannot be read.",
            'Write {"pacs": {"url": "dicoms://TITLE@host:2762", "ca": "ca.pem"}}.',
        ) from error
    if not isinstance(settings, dict) or "url" not in settings:
        raise InputError(
            f"Expected a url or a configured node, got '{name}' ({len(known)} are configured).",
            f"Give dicom://TITLE@host:port or https://host/dicom-web, or set {NODES_FILE}.",
        )
    return _node(str(settings["url"]), {k: str(v) for k, v in settings.items()})


def _node(url: str, settings: dict[str, str]) -> Node:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError("Expected a port from 1 to 65535 in the url.", "Correct it.") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise InputError(
            f"Expected a url of {', '.join(_SCHEMES)}, got another.",
            "Give dicom://TITLE@host:port or https://host/dicom-web.",
        )
    if parts.password is not None or (parts.username and parts.scheme.startswith("http")):
        raise InputError(
            "A url may not hold a password: command lines are seen by others.",
            f"Set {USER} and {PASSWORD}, or {TOKEN}, or use the keyring.",
        )
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise InputError(
            "Patient data goes to another machine in TLS only, but the url is plain http.",
            "Use https.",
        )
    called = parts.username or settings.get("called", "")
    calling = settings.get("calling", CALLING)
    if parts.scheme.startswith("dicom"):
        wrong = [title for title in (called, calling) if not _AE_TITLE.fullmatch(title)]
        if wrong:
            raise InputError(
                "Expected an application entity title of 1 to 16 letters in the url.",
                "Give dicom://TITLE@host:port.",
            )
    default = {"dicom": 104, "dicoms": 2762, "http": 80, "https": 443}[parts.scheme]
    files = {k: Path(settings[k]) for k in ("ca", "cert", "key") if settings.get(k)}
    return Node(
        parts.scheme, parts.hostname, port or default, url.rstrip("/"), called, calling, **files
    )


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls(node: Node) -> ssl.SSLContext | None:
    """Return how to check the other side, None for plain DIMSE; a certificate is always checked.

    Raises InputError where a certificate file cannot be used.
    """
    if node.scheme != "dicoms":
        return None
    try:
        context = ssl.create_default_context(cafile=str(node.ca) if node.ca else None)
        if node.cert:
            context.load_cert_chain(str(node.cert), str(node.key) if node.key else None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The certificates of {node} cannot be used: {type(error).__name__}.",
            "Check ca, cert and key of the node.",
        ) from error
    return context


def headers(node: Node) -> dict[str, str]:
    """Return the Authorization header of a DICOMweb node from environment or keyring, if any."""
    token = os.environ.get(TOKEN)
    if token:
        return {"Authorization": f"Bearer {token}"}
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if user and password is None:
        try:
            password = need("keyring").get_password(f"{_KEYRING}:{node.host}", user)
        except MissingDependencyError:
            raise
        except Exception as error:  # every backend of keyring has errors of its own
            raise InputError(
                f"The keyring gave no password ({type(error).__name__}).", f"Set {PASSWORD}."
            ) from error
    if not user or password is None:
        return {}
    pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}
