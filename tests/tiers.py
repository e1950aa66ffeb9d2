"""What `uv run pytest` runs, and what only `--full` does.

The plain run proves every promise at least once, in at most twelve minutes on two cores. `--full` adds the other
runtimes and stores, every pair of answers, every mutation of an app and the larger counts. `--rest` runs what the plain
run leaves out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.support.apps import Variant

# Of tests that drive running apps: where the plain run drives them. Each runtime and each kind of database once.
PLAIN_VARIANTS = frozenset({"worker-d1", "fastapi-postgres"})
# What the plain run leaves out: a folder, a file, a test, or one with these parameters. `BUT` is taken all the same.
ONLY_FULL = (
    # Both real apps, their stores and the tool's processes for each: tests/tool has every command and check in process.
    "tests/operations/",
    # Counts, and times over minutes: the plain run has smaller ones of the same kind.
    "tests/conformance/test_load.py",
    "tests/conformance/test_ending.py",
    "tests/conformance/test_abuse.py::test_bodies_that_are_refused_are_not_kept",
    "tests/conformance/test_abuse.py::test_fuzzed_webhooks_are_refused_and_leave_no_trace[worker",
    "tests/conformance/test_convergence.py::test_any_order_gives_the_same_accounts_over_http",
    "tests/conformance/test_convergence.py::test_any_order_with_repeats_gives_the_same_rows",
    "tests/conformance/test_convergence.py::test_the_stores_agree",
    "tests/conformance/test_faults.py::test_killed_apps_end_as_undisturbed_ones[worker",
    "tests/conformance/test_faults.py::test_reactions_of_killed_apps_run_once_each",
    "tests/conformance/test_faults.py::test_a_reconciliation_that_cannot_read_polar_changes_nothing[worker",
    "tests/conformance/test_scenarios.py::test_any_order_ends_as_in_order",
    "tests/conformance/test_stand_in.py::test_the_sdk_reads_every_event",
    # Recorded histories in each order with each signing scheme: the plain run has one of each runtime.
    "tests/test_replay.py::test_any_order_ends_in_polars_own_state",
    # An update of every profile from every release, to every answer: the plain run updates from the oldest and the
    # newest, and to a few answers.
    "tests/updates/",
    # The checks of the checks: a fault of each kind is put into variants, and must be found.
    "tests/variants/test_checks.py",
    # All variants rendered: the plain run has one of each runtime.
    "tests/variants/test_variants.py::test_all_render_and_their_files_are_in_order",
    "tests/variants/test_enumeration.py",
    # A catalogue of words that nobody has heard of: the plain run renders it.
    "tests/variants/test_unknown_words.py::test_all_have_fitting_types",
    "tests/variants/test_unknown_words.py::test_their_own_tests_pass_with_all_at_once",
    # Each test file in a process of its own, as its user runs it, and on Postgres.
    "tests/variants/test_variants.py::test_a_worker_passes_its_tests_as_its_user_runs_them",
    "tests/variants/test_variants.py::test_a_fastapi_app_passes_its_tests_as_its_user_runs_them",
    # Whole environments are made and resolved.
    "tests/tool/test_pins.py::test_the_pins_are_what_a_resolution_gives",
    # The bridge of a FastAPI project, with each store: the plain run has a Worker's, and the tool's side of both.
    "tests/tool/test_bridge_fastapi.py",
    "tests/test_watch.py::test_the_projects_own_tests_run",
    # What becomes of recorded keys, in each case: the plain run has the common ones.
    "tests/test_snapshot.py",
)
BUT = (
    "tests/operations/doctor/test_report.py::test_a_healthy_project_is_told_so_and_nothing_was_changed",
    "tests/test_snapshot.py::test_an_update_gives_the_same_bytes_whatever_polar_has_by_now",
    "tests/test_snapshot.py::test_a_refresh_is_a_three_way_merge",
    "tests/test_snapshot.py::test_a_key_stays_when_its_product_is_renamed",
    "tests/test_snapshot.py::test_a_product_that_became_private_is_sold_on",
    "tests/test_snapshot.py::test_from_demo_to_an_account",
    "tests/tool/test_bridge_fastapi.py::test_the_project_describes_itself[sqlite",
    "tests/tool/test_bridge_fastapi.py::test_customers_are_compared_with_polar[sqlite",
    "tests/test_replay.py::test_any_order_ends_in_polars_own_state[worker-d1-shuffled-standard",
    "tests/test_replay.py::test_any_order_ends_in_polars_own_state[fastapi-postgres-ordered-legacy",
    "tests/updates/test_commands.py::test_a_workers_commands_work_at_once",
    "tests/updates/test_commands.py::test_a_fastapi_apps_commands_work_at_once",
    "tests/updates/test_edits.py::test_edits_survive_an_update_from_every_version[worker-0.1.0",
    "tests/updates/test_edits.py::test_edits_survive_an_update_from_every_version[fastapi-0.2.0",
    "tests/updates/test_edits.py::test_no_update_touches_where_users_write",
    "tests/updates/test_fresh.py::test_an_update_from_the_oldest_version_equals_a_fresh_project[demo",
    "tests/updates/test_fresh.py::test_an_update_from_the_oldest_version_equals_a_fresh_project[fastapi-shop",
    "tests/updates/test_answers.py::test_a_changed_answer_gives_the_project_of_that_answer_and_back[another path",
    "tests/updates/test_catalogue.py::test_a_chosen_product_that_was_archived_stays[shop",
    "tests/updates/test_migrations.py::test_own_migrations_live_beside_new_ones_of_the_template[fastapi",
    "tests/updates/test_migrations.py::test_a_released_migration_never_changes",
    "tests/updates/test_migrations.py::test_every_released_migration_is_listed",
    "tests/updates/test_releases.py::test_every_version_has_its_section_in_the_changelog",
    "tests/updates/test_releases.py::test_users_hear_of_every_question_that_is_new_or_gone",
    "tests/updates/test_releases.py::test_versions_rise_with_the_history",
)


def is_plain(item: pytest.Item) -> bool:
    """Whether the plain run has a test."""
    if item.nodeid.startswith(ONLY_FULL) and not item.nodeid.startswith(BUT):
        return False
    return all(variant.name in PLAIN_VARIANTS for variant in _variants_of(item))


def chosen(items: Iterable[pytest.Item], *, full: bool, rest: bool) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the tests to run and those left out."""
    kept, left = [], []
    for item in items:
        wanted = not is_plain(item) if rest else full or is_plain(item)
        (kept if wanted else left).append(item)
    return kept, left


def turn(item: pytest.Item, commit: str) -> str:
    """Return what orders files by a commit: where time runs out, each part gets its turn."""
    return hashlib.sha256(f"{commit} {item.path.name}".encode()).hexdigest()


def _variants_of(item: pytest.Item) -> Iterator[Variant]:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    yield from (value for value in parameters.values() if isinstance(value, Variant))
