"""What `test_parity` asks both runtimes, in order: each step has a name, a request, and what the answer must be."""

from __future__ import annotations

from tests.parity import routes, webhooks
from tests.parity.step import Step


def steps() -> list[Step]:
    """All of them."""
    parts = (
        webhooks.lifecycles,
        webhooks.deletions,
        webhooks.owners,
        webhooks.odd_events,
        webhooks.poisoned,
        webhooks.signatures,
        routes.catalogue_and_operations,
        routes.sign_in,
        routes.user_ids,
        routes.checkout_choices,
        routes.checkout_bodies,
        routes.checkout_customers,
        routes.checkout_states,
        routes.changes,
        routes.portals,
        routes.faults,
        routes.routing,
        routes.cors,
    )
    made = [step for part in parts for step in part()]
    names = [step.name for step in made]
    assert len(set(names)) == len(names), "two steps have the same name"
    return made
