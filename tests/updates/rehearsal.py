"""The release after the working tree, rehearsed.

Both runtimes get one more migration, a file gets another name, and the next version of Polar's API is the default.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import git
from tests.support.api_version import API_VERSION, API_VERSIONS
from tests.updates import history

NAME = f"{history.newest()}.post1"
NEW_TABLE = "billing_rehearsals"
RENAMED = {
    "worker": ("src/billing/rate-limit.ts", "src/billing/limits.ts"),
    "fastapi": ("src/app/billing/disagreement.py", "src/app/billing/differences.py"),
}
_IMPORTED = {  # where, and as what before and after
    "worker": ("src/app.ts.jinja", "./billing/rate-limit", "./billing/limits"),
    "fastapi": ("src/app/billing/background.py", "app.billing.disagreement", "app.billing.differences"),
}
_MIGRATION = '''"""Rehearse."""

import sqlalchemy as sa
from alembic import op

revision = "billing_rehearsal"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("{table}", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade() -> None:
    op.drop_table("{table}")
'''


def build(releases: Path, folder: Path) -> Path:
    """The released versions, the working tree, and behind them the rehearsed version."""
    git(releases.parent, "clone", "--quiet", str(releases), str(folder))
    template = folder / "template"
    _add_migrations(template)
    for runtime, names in RENAMED.items():
        _rename(template / runtime, runtime, *names)
    _declare(folder / "copier.yml")
    history.release(folder, NAME)
    return folder


def _add_migrations(template: Path) -> None:
    worker = template / "worker" / "migrations"
    (worker / f"{_after(worker)}_rehearsal.sql").write_text(f"CREATE TABLE {NEW_TABLE} (id INTEGER PRIMARY KEY);\n")
    fastapi = template / "fastapi" / "src" / "app" / "migrations" / "billing"
    texts = [file.read_text() for file in fastapi.glob("*.py")]
    revisions = {match[1] for text in texts if (match := re.search(r'^revision = "(\w+)"', text, re.MULTILINE))}
    (head,) = (name for name in revisions if not any(f'down_revision = "{name}"' in text for text in texts))
    (fastapi / f"{_after(fastapi)}_rehearsal.py").write_text(_MIGRATION.format(head=head, table=NEW_TABLE))


def _after(folder: Path) -> str:
    """The number after the last one."""
    return f"{max(int(file.name[:4]) for file in folder.iterdir() if file.name[:4].isdigit()) + 1:04}"


def _rename(project: Path, runtime: str, old: str, new: str) -> None:
    (project / new).write_text(rehearsed((project / old).read_text()))
    (project / old).unlink()
    name, before, after = _IMPORTED[runtime]
    text = (project / name).read_text()
    assert before in text
    (project / name).write_text(text.replace(before, after))


def rehearsed(text: str) -> str:
    """The renamed file's text as the rehearsed version has it: another first sentence."""
    return text.replace(".", ", rehearsed.", 1)


def _declare(settings: Path) -> None:
    """The line of `_migrations` that a rename asks for, and the other default."""
    names = ", ".join(name for pair in RENAMED.values() for name in pair)
    line = (
        f'_migrations:\n  - version: "{NAME}"\n'
        '    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/rename.py", ' + names + "]\n"
    )
    text = settings.read_text()
    for before, after in (
        ("_migrations: []\n", line),
        (f'  default: "{API_VERSION}"\n', f'  default: "{API_VERSIONS[-1]}"\n'),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    settings.write_text(text)
