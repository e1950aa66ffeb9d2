"""What users make of a project: their routes, reactions, policy, tables, settings and words, in either runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

Edit = Callable[[str], str]

OWN_TABLE = "reports"
OWN_REVISION = "reports_0001"


def put(text: str, *, after: str) -> Edit:
    """Add text behind the only place that has `after`."""
    return swap(after, after + text)


def swap(before: str, then: str) -> Edit:
    """Say it otherwise at the only place that says `before`."""

    def edit(content: str) -> str:
        assert content.count(before) == 1, f"{before!r} is there {content.count(before)} times"
        return content.replace(before, then)

    return edit


@dataclass(frozen=True)
class Edits:
    """Changes of one project; made by hand, so they name what they expect to find."""

    changed: dict[str, list[Edit]]
    added: dict[str, str] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()

    def apply(self, folder: Path) -> None:
        """Make them."""
        for name, edits in self.changed.items():
            file = folder / name
            file.write_text(reduce(lambda content, edit: edit(content), edits, file.read_text()))
        for name, content in self.added.items():
            file = folder / name
            assert not file.exists(), f"{name} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for name in self.deleted:
            (folder / name).unlink()


WORKER = Edits(
    changed={
        "src/premium.ts": [
            swap(
                '{ message: `Hello ${c.get("user").id}, thank you for subscribing.` }));\n',
                '{ message: "Welcome back." }));\npremium.get("/export", (c) => c.json({ user: c.get("user").id }));\n',
            )
        ],
        "src/reactions.ts": [
            swap(
                '  payment_failed: ({ user_id }, context) => note("payment_failed", user_id, context),\n',
                "  payment_failed: ({ user_id }, { key }) => remind(user_id, key),\n",
            ),
            lambda content: (
                content
                + "\nfunction remind(userId: string | null, key: string): void {\n"
                + '  console.log(JSON.stringify({ event: "reminded", user_id: userId, key }));\n}\n'
            ),
        ],
        "src/billing/policy-table.ts": [swap('paused: "never"', 'paused: "while_renewing"')],
        "src/app.ts": [
            put('import { reports } from "./reports";\n', after='import { premium } from "./premium";\n'),
            put('  app.route("/reports", reports);\n', after="  addReads(app, catalog);\n"),
        ],
        "wrangler.jsonc": [
            swap("00000000-0000-0000-0000-000000000000", "6f1c7a52-5a3e-4a52-9d1f-0c6d2b8e7f10"),
            swap('"APP_URL": ""', '"APP_URL": "https://app.example.com"'),
        ],
        "package.json": [
            put('    "reports": "node scripts/reports.ts",\n', after='    "test": "vitest run",\n'),
        ],
        "README.md": [
            put("\nRun by the platform team.\n", after="on a Cloudflare Worker, with D1.\n"),
            lambda content: content + "\n## On call\n\nAsk in #billing.\n",
        ],
    },
    added={
        "src/reports.ts": 'import { Hono } from "hono";\nimport type { AppEnv } from "./context";\n\n'
        'export const reports = new Hono<AppEnv>();\n\nreports.get("/", (c) => c.json([]));\n',
        "migrations/5000_reports.sql": f"CREATE TABLE {OWN_TABLE} (id INTEGER PRIMARY KEY);\n",
    },
    deleted=(".mcp.json", "CLAUDE.md", "test/convergence.test.ts"),
)

FASTAPI = Edits(
    changed={
        "src/app/premium.py": [
            swap('f"Hello {user.id}, thank you for subscribing."', '"Welcome back."'),
            lambda content: (
                content
                + '\n\n@router.get("/export", summary="All of it")\n'
                + "def export(user: Annotated[User, Depends(require_access)]) -> Greeting:\n"
                + '    """Hand everything over."""\n    return Greeting(message=user.id)\n'
            ),
        ],
        "src/app/reactions.py": [
            swap(
                'log_line("payment_failed", key=delivery.key, user_id=payload["user_id"], '
                'past_due_at=payload["past_due_at"])',
                'log_line("reminded", key=delivery.key, user_id=payload["user_id"])',
            )
        ],
        "src/app/billing/policy_table.py": [swap('"paused": "never"', '"paused": "while_renewing"')],
        "src/app/main.py": [
            put("from app.reports import router as reports\n", after="from app.database import Database\n"),
            put('    app.include_router(reports, prefix="/reports")\n', after="    install_error_handlers(app)\n"),
        ],
        "pyproject.toml": [put('  "rich==14.1.0",\n', after="dependencies = [\n")],
        "README.md": [
            put("\nRun by the platform team.\n", after="on FastAPI, with SQLite.\n"),
            lambda content: content + "\n## On call\n\nAsk in #billing.\n",
        ],
    },
    added={
        "src/app/reports.py": '"""Reports."""\n\nfrom fastapi import APIRouter\n\nrouter = APIRouter()\n\n\n'
        '@router.get("", summary="All reports")\ndef reports() -> list[str]:\n    """List them."""\n    return []\n',
        "src/app/migrations/versions/20260401_reports.py": f'"""Reports."""\n\nimport sqlalchemy as sa\n'
        f'from alembic import op\n\nrevision = "{OWN_REVISION}"\ndown_revision = None\nbranch_labels = ("app",)\n'
        f'depends_on = None\n\n\ndef upgrade() -> None:\n    op.create_table("{OWN_TABLE}", '
        f'sa.Column("id", sa.Integer(), primary_key=True))\n\n\ndef downgrade() -> None:\n'
        f'    op.drop_table("{OWN_TABLE}")\n',
    },
    deleted=(".mcp.json", "CLAUDE.md", "tests/billing/test_convergence.py"),
)

EDITS = {"worker": WORKER, "fastapi": FASTAPI}

# Of projects that had the operator's commands: a file that goes, its use in a file of one's own, and what has to go on.
COMMANDS = {
    "worker": Edits(
        changed={"scripts/simulation/sign-in.ts": [lambda text: text + "// ours\n"]},
        added={"scripts/stats.ts": 'import { columns } from "./console.ts";\n\nexport const stats = columns;\n'},
    ),
    "fastapi": Edits(
        changed={
            "src/app/billing/simulation/sign_in.py": [lambda text: text + "# ours\n"],
            "Dockerfile": [
                put("ENV TZ=UTC\n", after="WORKDIR /app\n"),
                swap("--port 8000 ", "--port ${PORT:-8000} "),
            ],
        },
        added={
            "src/app/stats.py": '"""Stats."""\n\nfrom app.billing.commands.console import columns\n\nstats = columns\n'
        },
    ),
}

# A route in the place that the newest version has for it.
OWN_ROUTE = {
    "worker": Edits({"src/own-routes.ts": [lambda text: text + 'ownRoutes.get("/own", (c) => c.json(["own"]));\n']}),
    "fastapi": Edits(
        {
            "src/app/own_routes.py": [
                lambda text: text + '\n\n@router.get("/own")\ndef own() -> list[str]:\n    return ["own"]\n'
            ]
        }
    ),
}

# A sign-in of one's own, filled in.
SIGN_IN = {
    "worker": Edits(
        {
            "src/auth/custom.ts": [
                put(
                    'import { sessionUser } from "../sessions";\n',
                    after='import { type Authenticate, isUserId, type User } from "./user";\n',
                ),
                swap("currentUser(_request: Request,", "currentUser(request: Request,"),
                swap(
                    "  return null;\n}\n\n",
                    "  const id = await sessionUser(request);\n  return id === null ? null : { id };\n}\n\n",
                ),
            ],
        }
    ),
    "fastapi": Edits(
        {
            "src/app/auth/custom.py": [
                swap(
                    "    del request\n    return None\n",
                    "    found = session_user(request)\n    return User(found) if found else None\n",
                ),
                put("from app.sessions import session_user\n", after="from app.settings import Settings\n"),
            ],
        }
    ),
}
