"""The log goes to streams of the platform's, where it has a socket that provides them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..serving import serving


class Streams:
    """A provider socket: whatever connects is a log stream."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.streams: list[bytearray] = []

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            text = bytearray()
            self.streams.append(text)
            self._threads.append(threading.Thread(target=self._read, args=(stream, text)))
            self._threads[-1].start()

    def _read(self, stream: socket.socket, text: bytearray) -> None:
        with stream:
            while data := stream.recv(1 << 16):
                text += data

    def close(self) -> None:
        """Returns when every stream has ended."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
        self._listener.close()


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[Streams]:
    one = Streams(tmp_path / "provider")
    yield one
    one.close()


SOURCE = """
import logging, os, subprocess, sys
def handler(event, context):
    logging.warning("a record of %d", os.getpid())
    print("printed")
    subprocess.run(["sh", "-c", "echo by a child; echo its error >&2"])
    os.write(2, b"raw error\\n")
    return [context.aws_request_id, os.getpid()]
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_each_process_has_streams_of_its_own(tmp_path: Path, streams: Streams, processes: str) -> None:
    with serving(
        tmp_path,
        SOURCE,
        slots=4,
        LMI_FAST_PROCESSES=processes,
        _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET=str(tmp_path / "provider"),
    ) as served:
        results = [served.result() for _ in range(20)]
    streams.close()
    texts = [bytes(text).decode().splitlines() for text in streams.streams]
    serving_processes = max(1, int(processes))
    assert len(texts) == 2 * serving_processes
    records = [json.loads(line) for text in texts for line in text if line.startswith("{")]
    for request_id, pid in results:
        mine = [record["message"] for record in records if record["requestId"] == request_id]
        assert mine == [f"a record of {pid}", "printed"]
    lines = [line for text in texts for line in text]
    assert lines.count("by a child") == lines.count("its error") == lines.count("raw error") == 20
    for text in texts:  # no process writes into another's
        assert len({json.loads(line)["message"] for line in text if "a record of" in line}) <= 1
    assert "a record of" not in served.output


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    with serving(tmp_path, SOURCE, slots=2, _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET=str(tmp_path / "none")) as served:
        served.result()
    messages = [record["message"] for record in served.records()]
    assert messages[0].startswith(f"the log goes to standard output: {tmp_path / 'none'}: ")
    assert "printed" in messages
