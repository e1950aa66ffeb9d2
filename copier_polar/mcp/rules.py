"""Which rule of the access policy decides, by the reason that a decision gives."""

from __future__ import annotations

from copier_polar import generated

RULES = {
    "active": "An active subscription to a premium product gives access, {limit} days beyond its period at most.",
    "trialing": "A trial of a premium product gives access, {limit} days beyond its period at most.",
    "canceling": "A subscription that is canceled to the end of its period gives access until then.",
    "renewal_overdue": "The renewal is late; the subscription gives access, {limit} days beyond its period at most.",
    "past_due_grace": "A payment failed; the subscription gives access for {grace} days after that.",
    "purchased": "A one-time purchase of a premium product that is paid gives access, also after a refund in part.",
    "blocked": "The user is blocked: nothing gives access.",
    "none": "The user holds nothing: no subscription, no purchase.",
    "not_premium": "What the user holds is no premium product.",
    "past_due": "A payment failed, and its {grace} days of grace are over: no access.",
    "renewal_expired": "The subscription was not renewed within {limit} days after its period: no access.",
    "canceled": "The newest premium purchase has ended, or is void: no access.",
    "paused": "The subscription is paused: no access.",
    "unpaid": "The subscription is unpaid: no access.",
    "incomplete": "The first payment of the subscription is not there yet: no access.",
    "expired": "The first payment of the subscription never came: no access.",
    "refunded": "The purchase was refunded in full: no access.",
    "pending": "The purchase is not paid yet: no access.",
    "unknown_status": "The newest premium purchase has a status that the policy does not know: no access.",
}
NOT_GENERATED = "This reason is not one of the generated policy: read the file."
FILES = {"worker": "src/billing/policy.ts", "fastapi": "src/app/billing/policy.py"}


def rule_of(reason: str, grace_days: int) -> str:
    """Say the rule that a decision with this reason comes from."""
    rule = RULES.get(reason, NOT_GENERATED)
    return rule.format(limit=generated.renewal_limit_days(), grace=grace_days)
