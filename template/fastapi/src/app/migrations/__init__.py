"""Migrations: `billing` holds those of billing, `versions` is for your own."""
