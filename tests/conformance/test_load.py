"""Many deliveries at once: none is turned away, and every user has in the end what their history left them."""

from __future__ import annotations

from collections import Counter

from tests.conformance.conftest import Counts
from tests.conformance.histories import mixture, wrong
from tests.conformance.polar.deliveries import deliver
from tests.conformance.station import Station

CONNECTIONS = 16


def test_load_ends_in_the_expected_state_without_an_error(black_box: Station, counts: Counts) -> None:
    mixed = mixture("load", counts.load_deliveries, counts.seed)
    outcome = deliver(black_box, mixed.deliveries, CONNECTIONS, tries=1)
    assert Counter(outcome.statuses) == {202: len(mixed.deliveries)}
    assert outcome.unanswered == 0
    assert wrong(mixed, black_box.told(mixed.users)) == {}
