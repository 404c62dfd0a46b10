"""Lines and frames come out of a pipe as they went in, however they were cut, and never without bound."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import MachineClock
from penstock.runtime.logs import KEPT_BYTES, LINE_BYTES, LogBuffer, LogPipe

FRAME_TYPES = (b"\xa5\x5a\x00\x03", b"\xa5\x5a\x00\x11")


def frame(text: str, kind: bytes = FRAME_TYPES[0], at_ms: int = 1_700_000_000_123) -> bytes:
    """A log event as awslambdaric's FramedTelemetryLogSink writes it."""
    encoded = text.encode()
    return kind + len(encoded).to_bytes(4, "big") + (at_ms * 1000).to_bytes(8, "big") + encoded


def read(chunks: list[bytes]) -> list[tuple[int, str]]:
    """What comes out of a pipe into which these chunks were written, each read before the next."""
    found: list[tuple[int, str]] = []

    async def run() -> None:
        pipe = LogPipe(MachineClock(), lambda at, text: found.append((at, text)))
        for chunk in chunks:
            for start in range(0, len(chunk), 60_000):
                os.write(pipe.write, chunk[start : start + 60_000])
                pipe.drain()
        os.close(pipe.write)
        pipe.close()

    asyncio.run(run())
    return found


line_texts = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=20)
frame_texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40).map(lambda text: text.rstrip("\n"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.tuples(st.just("line"), line_texts), st.tuples(st.just("frame"), frame_texts))), st.data())
def test_lines_and_frames_survive_any_cut(events: list[tuple[str, str]], data: st.DataObject) -> None:
    whole = b"".join(text.encode() + b"\n" if kind == "line" else frame(text) for kind, text in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [text for _, text in read(chunks)] == [text.removesuffix("\r") for _, text in events]


def test_a_frame_has_its_own_time_and_keeps_its_lines() -> None:
    assert read([frame("two\nlines\n", FRAME_TYPES[1], 1_700_000_000_999)]) == [(1_700_000_000_999, "two\nlines")]


def test_text_without_a_newline_is_its_own_line_before_a_frame_and_at_the_end() -> None:
    assert [text for _, text in read([b"half" + frame("event") + b"rest"])] == ["half", "event", "rest"]


def test_a_line_without_end_is_cut_at_an_events_size() -> None:
    found = [text for _, text in read([b"x" * (LINE_BYTES + 10)])]
    assert [len(text) for text in found] == [LINE_BYTES, 10]


def test_a_frame_that_claims_an_impossible_length_is_text() -> None:
    broken = FRAME_TYPES[0] + b"\xff" * 12 + b"tail"
    assert read([broken])[0][1].endswith("tail")


def test_bytes_that_are_no_text_are_shown_as_well_as_can_be() -> None:
    assert [text for _, text in read([b"a\xff\xfeb\n"])] == ["a\ufffd\ufffdb"]


def test_an_invocations_lines_are_kept_up_to_a_limit_which_its_last_line_tells() -> None:
    buffer = LogBuffer()
    for _ in range(9000):
        buffer.add(1, "x" * 1000)
    buffer.note_dropped(2)
    lines = buffer.take()
    assert sum(len(text) for _, text in lines) < KEPT_BYTES
    assert lines[-1] == (2, f"Penstock kept the first 4 MB of this invocation's output; {9000 - len(lines) + 1} lines more were dropped")  # fmt: skip # noqa: E501
    assert buffer.take() == []
