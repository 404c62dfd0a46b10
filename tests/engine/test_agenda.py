"""Targets whose moment has come are taken once, in its order; a line lets everybody in turn by turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.agenda import Agenda

TARGETS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), TARGETS, st.integers(0, 9)),
        st.tuples(st.just("drop"), TARGETS, st.just(0)),
        st.tuples(st.just("take"), st.just(""), st.integers(0, 9)),
    )
)


@given(STEPS)
def test_what_is_taken_is_what_a_look_at_every_target_would_find(steps: list[tuple[str, str, int]]) -> None:
    agenda, waiting = Agenda(), dict[str, int]()
    for step, target, moment in steps:
        if step == "put":
            agenda.put(target, moment)
            waiting[target] = moment
        elif step == "drop":
            agenda.drop(target)
            waiting.pop(target, None)
        else:
            due = sorted((when, who) for who, when in waiting.items() if when <= moment)
            assert list(agenda.take(moment)) == [who for _, who in due]
            for _, who in due:
                del waiting[who]
        assert agenda.next() == min(waiting.values(), default=None)


def test_who_stands_in_line_is_let_in_before_who_comes_later_and_is_not_taken_meanwhile() -> None:
    agenda = Agenda()
    for target in ("late", "early"):
        agenda.put(target, 1 if target == "early" else 2)
    for target in agenda.take(5):
        agenda.stand(target)
    agenda.put("early", 0)
    assert list(agenda.take(5)) == []
    assert agenda.first() == "early"
    agenda.put("early", 0)
    for target in agenda.take(5):
        agenda.stand(target)
    assert [agenda.first(), agenda.first(), agenda.first()] == ["late", "early", None]


def test_a_target_that_may_not_be_looked_at_yet_waits_for_that_though_it_is_due() -> None:
    agenda = Agenda()
    agenda.put("paused", 1, not_before=7)
    assert list(agenda.take(6)) == []
    assert agenda.due == {"paused": 1}
    assert agenda.next() == 7
    agenda.replace({"other": 3})
    assert list(agenda.take(7)) == ["other"]


def test_a_busy_target_with_something_to_do_much_later_takes_no_more_and_more_room() -> None:
    agenda = Agenda()
    agenda.put("other", 500)
    for now in range(100_000, 110_000):
        agenda.put("busy", now)
        assert list(agenda.take(now)) == (["other", "busy"] if now == 100_000 else ["busy"])
        agenda.put("busy", 9_000_000)  # a retry waits, too
    assert len(agenda._moments) < 100
    assert (list(agenda.take(8_999_999)), list(agenda.take(9_000_000))) == ([], ["busy"])
