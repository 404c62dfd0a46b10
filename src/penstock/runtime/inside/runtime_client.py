"""Stands in for the native module of the same name under ``awslambdaric``: the same four functions.

The native one reads the Runtime API's address once, at import, and speaks HTTP through libcurl: it cannot be loaded
before a fork. This one takes a socket that the environment inherits. A frame is a type (one byte), the length of a
JSON header and the length of a body (big-endian, four bytes each), the header, the body.

    to the server     N  asks for the next event        R  the answer to an event     E  the error of an event
    from the server   V  an event
"""

import json
import resource
import socket
import struct
import sys

FRAME = struct.Struct(">cII")
ANSWER_BYTES = 6_291_556  # what AWS takes as an answer: 6 MB and 100 bytes

_server = None


def initialize_client(user_agent):
    """As the native module's; the connection comes with ``connect``."""


def connect(file_descriptor):
    """Use this socket, after the fork."""
    global _server  # noqa: PLW0603 - as the native module, it has one connection per process
    _server = socket.socket(fileno=file_descriptor)


def next():
    """Wait for an event; returns its payload and the Runtime API's headers."""
    try:
        _server.sendall(FRAME.pack(b"N", 0, 0))
        kind, header_length, body_length = FRAME.unpack(_receive(FRAME.size))
        header = json.loads(_receive(header_length))
        body = _receive(body_length)
    except OSError as error:
        raise RuntimeError("Failed to get next") from error
    if kind != b"V":
        raise RuntimeError("Failed to get next")
    return body, header


def post_invocation_result(invoke_id, data, content_type, invocation_id=None):
    """Answer the event."""
    if len(data) > ANSWER_BYTES:
        _send(b"R", {"id": invoke_id, "too_large": len(data)}, b"")
        sys.stderr.write("LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413.\n")
        raise RuntimeError("Failed to post invocation response")
    if not _send(b"R", {"id": invoke_id, "type": content_type, "max_kb": _peak_kb()}, data):
        raise RuntimeError("Failed to post invocation response")


def post_error(invoke_id, error_response_data, xray_fault, invocation_id=None):
    """Report the event's error."""
    data = error_response_data.encode()
    if not _send(b"E", {"id": invoke_id, "max_kb": _peak_kb()}, data[: ANSWER_BYTES + 1]):
        raise RuntimeError("Failed to post invocation error")


def _peak_kb():
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _send(kind, header, body):
    encoded = json.dumps(header).encode()
    frame = FRAME.pack(kind, len(encoded), len(body)) + encoded
    try:
        if len(body) > 65536:
            _server.sendall(frame)
            _server.sendall(body)
        else:
            _server.sendall(frame + body)
    except OSError:
        return False
    return True


def _receive(length):
    if length <= 65536:
        data = _server.recv(length) if length else b""
        if len(data) == length:
            return data
    else:
        data = b""
    received = bytearray(length)
    received[: len(data)] = data
    view = memoryview(received)[len(data) :]
    while view:
        count = _server.recv_into(view)
        if count == 0:
            raise ConnectionResetError("the server closed the connection")
        view = view[count:]
    return bytes(received)
