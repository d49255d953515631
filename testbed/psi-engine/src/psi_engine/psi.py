"""Run SecretFlow's PSI between two parties."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psi_engine import EngineError, spu_library
from psi_engine.task import Input, Task

LOG = logging.getLogger("psi_engine")
NULL = "NULL"  # how the library writes a missing value
# A message that fails is sent again this often, 1 s apart: outlives a short break of a gateway.
SEND_RETRIES = 5
SEND_RETRY_MS = 1000


@dataclass(frozen=True)
class Counts:
    """Rows of the own table, and rows of it that are in the intersection."""

    own: int
    common: int


def connect(task: Task) -> Any:
    """Return a link to the peer (brpc over HTTP/1.1, which the gateways of Kuscia forward).

    Raises:
        EngineError: the peer was not reached within the time of the task's link_desc.
    """
    libspu, _ = spu_library.load()
    description = libspu.link.Desc()
    # Both sides must name the link alike; another task's messages are then refused.
    description.id = task.task_id
    for name, address in task.parties.items():
        description.add_party(name, address)
    description.brpc_channel_protocol = "http"
    description.brpc_channel_connection_type = "pooled"
    description.recv_timeout_ms = task.link.recv_timeout_ms
    description.http_timeout_ms = task.link.http_timeout_ms
    description.retry_opts.max_retry = SEND_RETRIES
    description.retry_opts.retry_interval_ms = SEND_RETRY_MS
    description.retry_opts.retry_interval_incr_ms = 0
    description.connect_retry_interval_ms = task.link.connect_retry_interval_ms
    # The library sends each of its attempts SEND_RETRIES times, so it takes fewer for the same time.
    attempt_ms = task.link.connect_retry_interval_ms + SEND_RETRIES * SEND_RETRY_MS
    description.connect_retry_times = max(1, round(task.link.connect_seconds * 1000 / attempt_ms))
    peer = task.parties[task.peer]
    LOG.info("connecting to %s at %s, listening on %s, for up to %.0f s",
             task.peer, peer, task.parties[task.party], task.link.connect_seconds)  # fmt: skip
    begin = time.monotonic()
    try:
        with telling(f"waiting for {task.peer} at {peer}; its pod must run and its route be READY"):
            link = libspu.link.create_brpc(description, task.rank)
            # The PSI library connects a second time over the same link. A greeting that comes before the
            # peer has read the first one is dropped, and the peer then waits for it until its time is up.
            link.barrier()
            return link
    except RuntimeError as error:
        raise EngineError(
            f"{task.peer} was not reached at {peer} within {time.monotonic() - begin:.0f} s "
            f"(or port {task.parties[task.party]} is taken here): {_reason(error)}"
        ) from error


@contextmanager
def telling(what: str, every: float = 10) -> Iterator[None]:
    """Log `what` every `every` seconds while the block runs (the library releases the interpreter)."""
    ended = threading.Event()
    begin = time.monotonic()

    def tell() -> None:
        while not ended.wait(every):
            LOG.info("%s (%.0f s)", what, time.monotonic() - begin)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def run(task: Task, own: Input, link: Any, table: Path, result: Path) -> Counts:
    """Intersect `table` with that of the peer; write the own rows in it to `result` if this party is a receiver.

    Raises:
        EngineError: the protocol failed, or the result is empty and the task does not allow that.
    """
    _, libpsi = spu_library.load()
    receivers = [list(task.parties).index(name) for name in task.receivers]
    config = libpsi.PsiExecuteConfig(
        protocol_conf=libpsi.PsiProtocolConfig(
            protocol=getattr(libpsi.PsiProtocol, task.protocol),
            receiver_rank=receivers[0],
            broadcast_result=len(receivers) == 2,
            ecdh_params=libpsi.EcdhParams(curve=getattr(libpsi.EllipticCurveType, task.curve)),
        ),
        input_params=libpsi.InputParams(path=str(table), selected_keys=list(own.keys), keys_unique=own.keys_unique),
        output_params=libpsi.OutputParams(path=str(result), disable_alignment=not task.sort_result, csv_null_rep=NULL),
        join_conf=libpsi.ResultJoinConfig(type=libpsi.ResultJoinType.JOIN_TYPE_INNER_JOIN, left_side_rank=receivers[0]),
    )
    try:
        with telling(f"PSI with {task.peer} runs"):
            report = libpsi.psi_execute(config, link)
    except RuntimeError as error:
        raise EngineError(f"PSI with {task.peer} failed: {_reason(error)}") from error
    counts = Counts(report.original_count, report.intersection_count)
    if task.receives and counts.common == 0 and not task.allow_empty_result:
        raise EngineError(
            f"no row is common to {task.party} and {task.peer}, and the task does not allow an empty result "
            "(attribute allow_empty_result)"
        )
    return counts


def _reason(error: Exception) -> str:
    """Return the message of the library without its C++ stack trace."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(("#", "Stacktrace"))]
    return "\n".join(lines[:5]) or type(error).__name__
