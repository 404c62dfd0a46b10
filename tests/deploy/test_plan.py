"""Plans: what becomes of a resource that is there already."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.deploy.forms import conformed
from penstock.deploy.plan import Existing, change_of
from penstock.engine.resource import Physical
from penstock.services.sqs.resources import QUEUE


@pytest.mark.parametrize(
    ("written", "wanted", "change"),
    [
        ({"FifoQueue": "true", "DelaySeconds": "5"}, {"FifoQueue": "true", "DelaySeconds": "5"}, ("keep", ())),
        ({"FifoQueue": "true", "DelaySeconds": "5"}, {"FifoQueue": True, "DelaySeconds": 6},
         ("update", ("DelaySeconds",))),
        ({"FifoQueue": "true"}, {}, ("replace", ("FifoQueue",))),
        ({"Unheard": {"Of": 1}, "DelaySeconds": "no number"}, {"DelaySeconds": 5},
         ("update", ("DelaySeconds", "Unheard"))),
    ],
)  # fmt: skip
def test_a_resource_whose_properties_an_earlier_release_wrote_in_another_form_is_not_replaced_for_that(
    written: dict[str, Any], wanted: dict[str, Any], change: Any
) -> None:
    old = Existing(1, "Queue", "AWS::SQS::Queue", "queue.fifo", 0, Physical("queue.fifo", {}), written)
    assert change_of(QUEUE, old, conformed(QUEUE, wanted), {}) == change
