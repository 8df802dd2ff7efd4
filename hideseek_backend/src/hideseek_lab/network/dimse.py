"""C-STORE, C-FIND, C-GET and C-MOVE with one node."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.errors import InputError
from hideseek_lab.network.nodes import Node, tls

SAVED = Callable[[Any], None]
_PENDING = (0xFF00, 0xFF01)
_SECONDS = 60
# What a study of ours may hold; a C-GET must name each class beforehand.
_WANTED = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy-converted enhanced CT
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
    "1.2.840.10008.5.1.4.1.1.88.22",  # enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.34",  # comprehensive 3D SR
)
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
_GET = "1.2.840.10008.5.1.4.1.2.2.3"


def store(node: Node, files: Sequence[Path]) -> int:
    """Send files by C-STORE in the syntax they have; returns how many were taken.

    Raises InputError where the node cannot be reached or refuses an object.
    """
    pydicom = need("pydicom")
    with lenient():
        datasets = [pydicom.dcmread(path) for path in files]
    wanted = {(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}
    with _association(node, sorted(wanted)) as association:
        for number, dataset in enumerate(datasets, 1):
            try:
                status = association.send_c_store(dataset)
            except (ValueError, RuntimeError) as error:
                raise _refused(node, f"{dataset.Modality} objects") from error
            # 0xBxxx: stored with a remark, such as a coerced element.
            if "Status" not in status or status.Status & 0xF000 not in (0x0000, 0xB000):
                raise _refused(node, f"object {number} of {len(datasets)} ({dataset.Modality})")
    return len(datasets)


def find(node: Node, accession: str) -> list[str]:
    """Return the uids of the studies of an accession number (C-FIND)."""
    pydicom = need("pydicom")
    query = pydicom.Dataset()
    query.QueryRetrieveLevel, query.AccessionNumber = "STUDY", accession
    query.StudyInstanceUID = ""
    with _association(node, [(_FIND, None)]) as association:
        found = []
        for status, answer in association.send_c_find(query, _FIND):
            if status and status.Status in _PENDING and answer is not None:
                found.append(str(answer.StudyInstanceUID))
            elif not status or status.Status != 0:
                raise _refused(node, "the query")
    return found


def get(node: Node, study_uid: str, saved: SAVED) -> None:
    """Fetch a study over the same connection (C-GET); `saved` is called with each dataset."""
    build_role = need("pynetdicom").build_role
    roles = [build_role(uid, scp_role=True) for uid in _WANTED]
    contexts = [(_GET, None), *((uid, None) for uid in _WANTED)]
    with _association(node, contexts, roles, _store_handler(saved)) as association:
        _finish(node, association.send_c_get(_study(study_uid), _GET))


def move(node: Node, study_uid: str, listen: tuple[str, int], saved: SAVED) -> None:
    """Have a study sent to this machine (C-MOVE); it listens for as long as that takes.

    The node must know our title (`calling`) with this address.
    """
    pynetdicom = need("pynetdicom")
    receiver = pynetdicom.AE(ae_title=node.calling)
    syntaxes = pynetdicom.ALL_TRANSFER_SYNTAXES
    for uid in _WANTED:
        receiver.add_supported_context(uid, syntaxes)
    try:
        server = receiver.start_server(listen, block=False, evt_handlers=_store_handler(saved))
    except OSError as error:
        raise InputError(
            f"This machine cannot listen on {listen[0]}:{listen[1]}: {error.strerror}.",
            "Choose another --listen.",
        ) from error
    try:
        with _association(node, [(_MOVE, None)]) as association:
            _finish(node, association.send_c_move(_study(study_uid), node.calling, _MOVE))
    finally:
        server.shutdown()


def _study(uid: str) -> Any:
    query = need("pydicom").Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", uid
    return query


def _finish(node: Node, answers: Any) -> None:
    last = None
    for status, _identifier in answers:
        last = status
    failed = int(last.get("NumberOfFailedSuboperations", 0) or 0) if last else 0
    if not last or last.Status != 0 or failed:
        raise _refused(node, f"to hand over the whole study ({failed} objects failed)")


def _store_handler(saved: SAVED) -> list[tuple[Any, Any]]:
    def take(event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        saved(dataset)
        return 0x0000

    return [(need("pynetdicom").evt.EVT_C_STORE, take)]


@contextmanager
def _association(
    node: Node,
    contexts: Sequence[tuple[str, str | None]],
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Any]:
    pynetdicom = need("pynetdicom")
    # Its log quotes queries and datasets.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    entity = pynetdicom.AE(ae_title=node.calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
    entity.connection_timeout = 15
    for uid, syntax in contexts:
        entity.add_requested_context(uid, *([syntax] if syntax else []))
    context = tls(node)
    association = entity.associate(
        node.host,
        node.port,
        ae_title=node.called,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
        tls_args=(context, node.host) if context else None,
    )
    if not association.is_established:
        raise InputError(
            f"No connection to {node} as {node.called}: it cannot be reached, refuses "
            f"{node.calling}, or its certificate is not trusted.",
            "Check address, titles and, for dicoms, the node's ca.",
        )
    try:
        with lenient():
            yield association
    finally:
        association.release()


def _refused(node: Node, what: str) -> InputError:
    return InputError(
        f"The node {node} refused {what}.", "Ask its administrator; what came before was kept."
    )
