"""Requests of every operation, damaged at random: refused in the caller's protocol, never with a 500."""

from __future__ import annotations

import random
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from penstock.base.clock import MachineClock
from penstock.base.names import Names
from penstock.engine.access import Keys
from penstock.engine.model import load
from penstock.wire.front import Front
from penstock.wire.protocols.xml_values import escape
from penstock.wire.values import Response

from .botocore_wire import request_of
from .serving import Calls
from .shapes import Values, as_parameters

SERVICES = ("sqs", "lambda", "events", "logs", "iam", "dynamodb", "s3", "kinesis", "cloudwatch", "apigateway")
ROUNDS = 2


def damaged(data: bytes, source: random.Random) -> bytes:
    out = bytearray(data or b"{}")
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(out) + 1)
        match source.randrange(4):
            case 0:
                out[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                del out[at : at + source.randint(1, 20)]
            case 2:
                out[at:at] = source.choice(
                    [b"[" * 50, b"{", b"null", b"-1e999", b'"\\ud800"', b"<a>", b"&x=", b"\xff", b"0"]
                )
            case _:
                piece = bytes(out[at : at + 10])
                out[at:at] = piece
    return bytes(out)


def text(value: str, source: random.Random) -> str:
    return damaged(value.encode(), source).decode("latin-1")


@pytest.mark.parametrize("service", SERVICES)
def test_a_damaged_request_is_never_our_fault(service: str) -> None:
    machine = MachineClock()
    front = Front(Calls(), services={service: service}, keys=Keys(), machine=machine, names=Names(machine, seed=1))
    model = load(service)
    source = random.Random(service)
    scope = f"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/{model.signing_name}/aws4_request, x"
    for operation in model.operations():
        if operation.event_input:
            continue
        values = Values(operation.name)
        sent: dict[str, Any] = values.of(operation.input) if operation.input is not None else {}
        for name in operation.input.shape.required if operation.input is not None else ():
            if name not in sent:
                sent[name] = values.of(operation.input_members[name])
        parameters = as_parameters(operation.input, sent) if operation.input is not None else {}
        if service == "s3":
            parameters.pop("Expires", None)
        for protocol in (name for name in model.protocols if name != "ec2"):
            for _ in range(ROUNDS):
                request = request_of(service, operation.name, parameters, protocol)
                request.headers["authorization"] = scope
                match source.randrange(3):
                    case 0:
                        request.body = damaged(bytes(request.body), source)  # type: ignore[arg-type]
                    case 1:
                        request.query = text(request.query, source)
                        request.path = "/" + text(request.path[1:], source)
                    case _:
                        for name in list(request.headers):
                            if name not in ("authorization", "host") and source.random() < 0.5:
                                request.headers[name] = text(request.headers[name], source)
                got: list[Response] = []
                front.start(request, got.append)
                assert got and got[0].status != 500, (service, operation.name, request, got)
                assert isinstance(got[0].body, bytes) or got[0].status < 300


def test_what_xml_cannot_hold_makes_no_answer_unreadable() -> None:
    every = "".join(map(chr, [*range(0x20), 0x85, 0x2028, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])) + "<&>"
    read = re.sub(r"&#x([0-9a-f]+);", "", escape(every).encode().decode())  # references as AWS writes them
    assert ElementTree.fromstring(f"<a>{read}</a>").text == "\ufffd\t\n" + "\ufffd" * 4 + "<&>"
