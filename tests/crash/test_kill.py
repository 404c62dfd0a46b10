"""SIGKILL at random moments under load: whatever was acknowledged is there, in order, and nothing else is.

PENSTOCK_TEST_KILLS=500 PENSTOCK_TEST_SEED=7 pytest tests/crash
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.load import Sender, to_bus, to_fifo, to_function, to_queue
from tests.crash.server import GONE_S, Refused, Server, Witness

KILLS = int(os.environ.get("PENSTOCK_TEST_KILLS", "25"))
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "20261121"))
LONGEST_S = 0.6  # a server lives that long under load at most before it is killed
GROUPS = 3
MOVED = 300  # messages of a move task that goes on over the kills
LIMIT_S = 180 + 6 * KILLS
QUIET_S = 600  # machine seconds that what is due at one moment may take
TURNS = 20  # attempts to move platform time to one moment

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(LIMIT_S)]


class Application:
    """Queues, buses and a function.

    plain (nobody reads it); in → function → out; in.fifo → function → out.fifo; the default bus → a rule → the bus
    second → a rule → from-bus. Asynchronous events that fail go to given-up: none does, as attempts that a kill cuts
    off are made again and do not count.
    """

    def __init__(self, server: Server, witness: Witness) -> None:
        self._server = server
        sqs, functions = server.client("sqs"), server.client("lambda")
        fifo = {"FifoQueue": "true", "VisibilityTimeout": "60"}
        self.urls: dict[str, str] = {}
        for name in ("plain", "in", "out", "in.fifo", "out.fifo", "from-bus", "given-up"):
            attributes = fifo if name.endswith(".fifo") else {"VisibilityTimeout": "60"}
            self.urls[name] = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        functions.create_function(
            FunctionName="pass-on", Runtime="python3.12", Handler="handler.handler", Timeout=30,
            Code={"ZipFile": zipped()}, Role="arn:aws:iam::000000000000:role/pass-on",
            DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:given-up"},
            Environment={"Variables": {
                "OUT": self.urls["out"], "OUT_FIFO": self.urls["out.fifo"], "WITNESS": str(witness.port),
            }},
        )  # fmt: skip
        functions.put_function_concurrency(FunctionName="pass-on", ReservedConcurrentExecutions=4)
        for name in ("in", "in.fifo"):
            functions.create_event_source_mapping(
                FunctionName="pass-on", EventSourceArn=f"arn:aws:sqs:us-east-1:000000000000:{name}", BatchSize=10
            )
        self._route(server.client("events"))
        self.moving = [f"moving-{number}" for number in range(MOVED)]
        self._move(sqs)

    def _move(self, sqs: Any) -> None:
        """Put messages into a dead-letter queue and have them driven somewhere else, slowly."""
        arn = "arn:aws:sqs:us-east-1:000000000000:"
        policy = json.dumps({"deadLetterTargetArn": f"{arn}dead", "maxReceiveCount": 3})
        for name, attributes in (("dead", {}), ("returned", {}), ("failing", {"RedrivePolicy": policy})):
            self.urls[name] = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for start in range(0, MOVED, 10):
            entries = [{"Id": body, "MessageBody": body} for body in self.moving[start : start + 10]]
            assert not sqs.send_message_batch(QueueUrl=self.urls["dead"], Entries=entries).get("Failed")
        sqs.start_message_move_task(
            SourceArn=f"{arn}dead", DestinationArn=f"{arn}returned", MaxNumberOfMessagesPerSecond=20
        )

    @staticmethod
    def _route(events: Any) -> None:
        bus = events.create_event_bus(Name="second")["EventBusArn"]
        to_bus_, to_queue_ = (
            {"Id": "bus", "Arn": bus},
            {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:from-bus"},
        )
        for name, target in (("default", to_bus_), ("second", to_queue_ | {"InputPath": "$.detail.id"})):
            events.put_rule(Name="crash", EventBusName=name, EventPattern='{"source": ["crash"]}')
            put = events.put_targets(Rule="crash", EventBusName=name, Targets=[target])
            assert not put["FailedEntryCount"], put

    def senders(self) -> dict[str, list[Sender]]:
        """Who sends what."""
        port = self._server.port
        return {
            "plain": [Sender(port, f"plain{i}", to_queue(self.urls["plain"]), persist=False) for i in range(2)],
            "in": [Sender(port, "in", to_queue(self.urls["in"]), persist=False)],
            "async": [Sender(port, "async", to_function("pass-on"), persist=False)],
            "events": [Sender(port, "event", to_bus("default"), persist=False)],
            "fifo": [
                Sender(port, f"fifo{i}", to_fifo(self.urls["in.fifo"], f"group{i}"), persist=True)
                for i in range(GROUPS)
            ],
        }

    def drain(self, name: str) -> list[str]:
        """Every message of a queue, in the order of receiving."""
        sqs = self._server.client("sqs")
        found: list[str] = []
        while messages := sqs.receive_message(QueueUrl=self.urls[name], MaxNumberOfMessages=10).get("Messages"):
            found += [message["Body"] for message in messages]
            entries = [{"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]} for i, each in enumerate(messages)]
            assert not sqs.delete_message_batch(QueueUrl=self.urls[name], Entries=entries).get("Failed")
        return found


def zipped() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("handler.py", (Path(__file__).parent / "handler.py").read_text())
    return data.getvalue()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def witness() -> Iterator[Witness]:
    witness = Witness()
    yield witness
    witness.close()


def kill_again_and_again(server: Server, witness: Witness, chance: random.Random) -> None:
    """Kill the server KILLS times, some of them while it starts; after each nothing of it is left."""
    pause = threading.Event()
    told = 0.0
    for number in range(KILLS):
        starting = number % 5 == 4
        pause.wait(chance.uniform(0, 0.4 if starting else LONGEST_S))
        server.kill()
        assert witness.all_ended(GONE_S), f"{witness.alive} processes outlived kill {number} (seed {SEED})"
        server.begin()
        if number % 5 == 3:
            continue  # the next kill hits it while it starts
        assert server.ready(), server.tail()
        now = float(server.own("GET", "/clock")["now"])
        assert now >= told, f"platform time went back over kill {number}: from {told} to {now}"
        told = now


def settle(server: Server) -> None:
    """Let everything happen that is due, what a dead server's messages in flight still wait for, and old events.

    An event that was throttled when it was minutes old waits up to five minutes for its next turn.
    """
    server.own("POST", "/clock/freeze", {})
    for seconds in (0, 61, 61, 61, 301, 301, 301):
        advance(server, seconds)


def advance(server: Server, seconds: int) -> None:
    """Move platform time on; what the functions could not follow during the kills takes them minutes."""
    until = float(server.own("GET", "/clock")["now"]) + seconds
    for _ in range(TURNS):
        quiet = server.own("POST", "/quiet", {"timeoutSeconds": QUIET_S})
        assert quiet["quiet"], quiet
        left = round(until - float(server.own("GET", "/clock")["now"]), 3)
        if left <= 0:
            return
        with contextlib.suppress(Refused):  # it did not settle within the time that one advance has: once more
            server.own("POST", "/clock/advance", {"bySeconds": left})
    raise AssertionError(f"after {TURNS} turns {left} s of {seconds} are left")


def acknowledged(senders: list[Sender]) -> set[str]:
    return {body for sender in senders for body in sender.sent.acknowledged}


def tried(senders: list[Sender]) -> set[str]:
    return {body for sender in senders for body in sender.sent.tried}


def check_delivered(what: str, senders: list[Sender], delivered: list[str]) -> None:
    """Everything acknowledged was delivered, and nothing that nobody sent."""
    lost = acknowledged(senders) - set(delivered)
    invented = set(delivered) - tried(senders)
    assert not lost, f"{what}: {len(lost)} acknowledged but lost (seed {SEED}): {sorted(lost)[:10]}"
    assert not invented, f"{what}: {len(invented)} that nobody sent (seed {SEED}): {sorted(invented)[:10]}"


def check_order(senders: list[Sender], delivered: list[str]) -> None:
    """Of every FIFO group each message was delivered once, in order, without a gap."""
    for sender in senders:
        numbers = [int(body.rpartition("-")[2]) for body in delivered if body.startswith(f"{sender.name}-")]
        wrong = next((place for place, number in enumerate(numbers) if number != place), None)
        assert wrong is None, f"{sender.name} (seed {SEED}): at {wrong} came {numbers[max(0, wrong - 2) : wrong + 20]}"


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    server: Server, witness: Witness, record_property: Any
) -> None:
    application = Application(server, witness)
    senders = application.senders()
    everybody = [sender for group in senders.values() for sender in group]
    for sender in everybody:
        sender.start()
    kill_again_and_again(server, witness, random.Random(SEED))
    for sender in everybody:
        sender.stop()
    for sender in everybody:
        sender.join()
        assert sender.failure is None, sender.failure
    settle(server)

    plain = application.drain("plain")
    check_delivered("sends", senders["plain"], plain)
    repeated = [body for body, count in Counter(plain).items() if count > 1]
    assert not repeated, f"sent once and stored twice (seed {SEED}): {repeated[:10]}"
    routed = [body.strip('"') for body in application.drain("from-bus")]
    check_delivered("bus to bus to queue", senders["events"], routed)
    assert len(routed) == len(set(routed)), f"routed twice (seed {SEED})"
    assert sorted(application.drain("returned")) == sorted(application.moving), f"moved otherwise (seed {SEED})"
    assert application.drain("dead") == []
    out = application.drain("out")
    assert application.drain("given-up") == [], f"given up though nothing failed (seed {SEED})"
    check_delivered("mapping", senders["in"], [body for body in out if body.startswith("in-")])
    check_delivered("asynchronous invokes", senders["async"], [body for body in out if body.startswith("async-")])
    ordered = application.drain("out.fifo")
    check_delivered("FIFO", senders["fifo"], ordered)
    check_order(senders["fifo"], ordered)
    for name, group in senders.items():
        count = len(acknowledged(group))
        record_property(name, count)
        assert count > KILLS, f"only {count} {name} were acknowledged: there was no load"
    assert witness.seen > 0, "no function left a process behind: the test proves nothing about them"
