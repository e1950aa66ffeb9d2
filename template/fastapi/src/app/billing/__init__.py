"""Billing with Polar: webhooks, checkout, access."""
