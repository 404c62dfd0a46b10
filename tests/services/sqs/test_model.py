"""SQS against a slow and obvious model of it, on the real store, in any order of sends, receives, deletes and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.services.sqs.alone import Alone, redrive

RETENTION = 3600  # seconds
MAX_RECEIVES = 4


@dataclass
class Message:
    """What the model knows of a message; times in platform ms."""

    body: str
    group: str
    dedup: str
    sent: int
    visible_at: int
    receives: int = 0
    handles: list[str] = field(default_factory=list)
    gone: bool = False
    dead: bool = False


class Machine(RuleBasedStateMachine):
    """What both kinds of queue have in common."""

    fifo = False

    def __init__(self) -> None:
        super().__init__()
        self.sqs = Alone()
        self.messages: list[Message] = []
        self.count = 0

    @initialize(delay=st.sampled_from(["0", "0", "3"]))
    def create(self, delay: str) -> None:
        suffix = ".fifo" if self.fifo else ""
        self.dead_letter = self.sqs.queue("dead" + suffix)
        self.url = self.sqs.queue(
            "queue" + suffix, DelaySeconds=delay, MessageRetentionPeriod=str(RETENTION),
            RedrivePolicy=redrive("dead" + suffix, MAX_RECEIVES),
        )  # fmt: skip
        self.delay = int(delay) * 1000

    def teardown(self) -> None:
        self.sqs.close()

    @property
    def now(self) -> int:
        return self.sqs.clock.now()

    def present(self) -> list[Message]:
        cutoff = self.now - RETENTION * 1000
        return [m for m in self.messages if not m.gone and not m.dead and m.sent > cutoff]

    def record(self, body: str, group: str, dedup: str) -> None:
        self.messages.append(Message(body, group, dedup, self.now, self.now + self.delay))

    def send(self, group: str) -> None:
        body = f"message {self.count}"
        self.count += 1
        extra = {"MessageGroupId": group, "MessageDeduplicationId": str(self.count)} if self.fifo else {}
        self.sqs.call("SendMessage", QueueUrl=self.url, MessageBody=body, **extra)
        self.record(body, group, str(self.count))

    def took(self, answer: dict[str, Any], timeout: int) -> list[Message]:
        """Note a receive; what it gave must be there and must have no holder."""
        taken = []
        for told in answer.get("Messages", []):
            found = [m for m in self.present() if m.body == told["Body"]]
            assert found, f"{told['Body']} was received and is not in the queue"
            (message,) = found
            assert message.visible_at <= self.now, f"{message.body} was received while somebody held it"
            assert message.receives < MAX_RECEIVES, f"{message.body} was received too often"
            message.receives += 1
            message.visible_at = self.now + timeout * 1000
            message.handles.append(told["ReceiptHandle"])
            assert told["ReceiptHandle"] not in [h for m in self.messages for h in m.handles if m is not message]
            taken.append(message)
        assert len({m.body for m in taken}) == len(taken), "a message was given twice in one receive"
        return taken

    @rule(seconds=st.sampled_from([1, 1, 3, 3, 5, 10, 30, 400, RETENTION]))
    def time_passes(self, seconds: int) -> None:
        self.sqs.pass_time(seconds)

    @precondition(lambda self: any(m.handles for m in self.messages))
    @rule(data=st.data(), seconds=st.sampled_from([0, 2, 20]))
    def change_visibility(self, data: st.DataObject, seconds: int) -> None:
        message = data.draw(st.sampled_from([m for m in self.messages if m.handles]))
        handle = data.draw(st.sampled_from(message.handles))
        latest = handle == message.handles[-1]
        try:
            self.sqs.call("ChangeMessageVisibility", QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=seconds)
        except Exception:
            assert message not in self.present() or (self.fifo and not (latest and message.visible_at > self.now))
            return
        if message in self.present() and message.visible_at > self.now:
            message.visible_at = self.now + seconds * 1000

    @precondition(lambda self: any(m.handles for m in self.messages))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from([m for m in self.messages if m.handles]))
        handle = data.draw(st.sampled_from(message.handles))
        holds = handle == message.handles[-1] and message.visible_at > self.now
        try:
            self.sqs.call("DeleteMessage", QueueUrl=self.url, ReceiptHandle=handle)
        except Exception:
            assert self.fifo and not holds and not message.gone, "a holder could not delete its message"
            return
        if not message.dead:
            message.gone = True

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "url"):
            return
        present = self.present()
        visible = sum(m.visible_at <= self.now for m in present)
        held = sum(m.visible_at > self.now and m.receives > 0 for m in present)
        delayed = sum(m.visible_at > self.now and m.receives == 0 for m in present)
        assert self.sqs.counts(self.url) == (visible, held, delayed)

    @invariant()
    def the_dead_are_in_the_dead_letter_queue(self) -> None:
        if not hasattr(self, "url"):
            return
        peeked = self.sqs.call("PeekMessages", QueueUrl=self.dead_letter)["messages"]
        assert {told["body"] for told in peeked} == {m.body for m in self.messages if m.dead}


class StandardQueue(Machine):
    """A standard queue gives out what is visible, each message to one holder at a time."""

    @rule(count=st.integers(1, 3))
    def send_some(self, count: int) -> None:
        for _ in range(count):
            self.send("")

    @rule(limit=st.integers(1, 10), timeout=st.sampled_from([0, 5, 30]))
    def receive(self, limit: int, timeout: int) -> None:
        visible = [m for m in self.present() if m.visible_at <= self.now]
        answer = self.sqs.call(
            "ReceiveMessage", QueueUrl=self.url, MaxNumberOfMessages=limit, VisibilityTimeout=timeout
        )
        peeked = {told["body"] for told in self.sqs.call("PeekMessages", QueueUrl=self.dead_letter)["messages"]}
        for message in visible:
            if message.body in peeked:
                assert message.receives >= MAX_RECEIVES, f"{message.body} was given up too early"
                message.dead = True
        taken = self.took(answer, timeout)
        left = [m for m in visible if (not m.dead and m.receives < MAX_RECEIVES) or m in taken]
        assert len(taken) == min(limit, len(left)) or any(m.dead for m in visible)
        assert taken or not left, "there was something to receive"


class FifoQueue(Machine):
    """A FIFO queue gives out each group in its order, and nothing of a group that stands behind one that is held."""

    fifo = True

    @rule(groups=st.sampled_from(["aa", "aab", "b", "bb", "ab"]))
    def send_some(self, groups: str) -> None:
        for group in groups:
            self.send(group)

    @precondition(lambda self: self.messages)
    @rule()
    def send_again(self) -> None:
        """The latest deduplication id once more: for five minutes it is accepted and not put into the queue."""
        latest = self.messages[-1]
        self.count += 1
        body = f"again {self.count}"
        self.sqs.call(
            "SendMessage", QueueUrl=self.url, MessageBody=body, MessageGroupId=latest.group,
            MessageDeduplicationId=latest.dedup,
        )  # fmt: skip
        if self.now - latest.sent >= 300_000:
            self.record(body, latest.group, latest.dedup)

    @rule(limit=st.integers(1, 10), timeout=st.sampled_from([0, 5, 30]))
    def receive(self, limit: int, timeout: int) -> None:
        before = {group: [m for m in self.present() if m.group == group] for group in "ab"}
        hidden = {m.body for m in self.present() if m.visible_at > self.now}
        answer = self.sqs.call(
            "ReceiveMessage", QueueUrl=self.url, MaxNumberOfMessages=limit, VisibilityTimeout=timeout
        )
        peeked = {told["body"] for told in self.sqs.call("PeekMessages", QueueUrl=self.dead_letter)["messages"]}
        for message in self.present():
            if message.body in peeked:
                assert message.receives >= MAX_RECEIVES, f"{message.body} was given up too early"
                message.dead = True
        taken, ready = self.took(answer, timeout), False
        for group, messages in before.items():
            mine = [m.body for m in taken if m.group == group]
            free = [m.body for m in takewhile(lambda m: m.body not in hidden, messages) if not m.dead]
            assert mine == free[: len(mine)], f"group {group} is out of order, or was given out behind a held message"
            ready = ready or bool(free)
        assert taken or not ready, "there was something to receive"


TestStandardQueue = StandardQueue.TestCase
TestStandardQueue.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestFifoQueue = FifoQueue.TestCase
TestFifoQueue.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
