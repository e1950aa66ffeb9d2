"""Forms of `_src_path` and `_commit`, and what `uvx --from` takes for them: one table for the tool and both launchers.

`{project}` is the project's folder, `{home}` the user's; a relative path begins at the project.
"""

from __future__ import annotations

from dataclasses import dataclass

HASH = "cb464820df215adc1c2ea5fa8e0449e76b3685f1"


@dataclass(frozen=True)
class Row:
    """What an answers file says, and what is to come of it; nothing where it is refused."""

    place: str
    commit: str | None
    wanted: str | None = None

    @property
    def name(self) -> str:
        """What the test is called."""
        return f"{self.place!r} {self.commit!r}"[:70]


URL = "https://example.com/team/billing.git"

GOOD = (
    # places
    Row(URL, "0.3.0", f"git+{URL}@0.3.0"),
    Row("https://example.com/team/billing", "0.3.0", "git+https://example.com/team/billing@0.3.0"),
    Row(f"git+{URL}", "0.3.0", f"git+{URL}@0.3.0"),
    Row("https://user:secret@example.com/x.git", "0.3.0", "git+https://user:secret@example.com/x.git@0.3.0"),
    Row("ssh://git@example.com/team/billing.git", "0.3.0", "git+ssh://git@example.com/team/billing.git@0.3.0"),
    Row("ssh://git@example.com:2222/billing.git", "0.3.0", "git+ssh://git@example.com:2222/billing.git@0.3.0"),
    Row("file:///srv/billing", "0.3.0", "git+file:///srv/billing@0.3.0"),
    Row("gh:team/billing", "0.3.0", "git+https://github.com/team/billing.git@0.3.0"),
    Row("gh:/team/billing.git", "0.3.0", "git+https://github.com/team/billing.git@0.3.0"),
    Row("gl:team/group/billing", "0.3.0", "git+https://gitlab.com/team/group/billing.git@0.3.0"),
    Row("git@example.com:team/billing.git", "0.3.0", "git+ssh://git@example.com/team/billing.git@0.3.0"),
    Row("/srv/billing", "0.3.0", "git+file:///srv/billing@0.3.0"),
    Row("/srv/my projects/b@c#d", "0.3.0", "git+file:///srv/my%20projects/b%40c%23d@0.3.0"),
    Row("/srv/../opt/billing/", "0.3.0", "git+file:///opt/billing@0.3.0"),
    Row("billing", "0.3.0", "git+file://{project}/billing@0.3.0"),
    Row("./billing", "0.3.0", "git+file://{project}/billing@0.3.0"),
    Row("../billing", "0.3.0", "git+file://{above}/billing@0.3.0"),
    Row(".", "0.3.0", "git+file://{project}@0.3.0"),
    Row("~/billing", "0.3.0", "git+file://{home}/billing@0.3.0"),
    # versions
    Row("/srv/billing", "v0.3.0", "git+file:///srv/billing@v0.3.0"),
    Row("/srv/billing", "0.3.0.post1+local", "git+file:///srv/billing@0.3.0.post1+local"),
    Row("/srv/billing", "release/0.3", "git+file:///srv/billing@release/0.3"),
    Row("/srv/billing", HASH, f"git+file:///srv/billing@{HASH}"),
    Row("/srv/billing", HASH[:7], f"git+file:///srv/billing@{HASH[:7]}"),
    Row("/srv/billing", f"0.2.0-12-g{HASH[:7]}", f"git+file:///srv/billing@{HASH[:7]}"),
    Row("/srv/billing", f"my-tag-1-g{HASH[:9]}", f"git+file:///srv/billing@{HASH[:9]}"),
    # a folder without versions
    Row("/srv/billing", None, "/srv/billing"),
    Row("../billing", None, "{above}/billing"),
)

BAD_PLACES = (
    "",
    "-",
    "--upload-pack=touch /tmp/x",
    "-x/billing",
    " /srv/billing",
    "/srv/billing\n",
    "/srv/bil\nling",
    "/srv/bil\x1b[2Jling",
    "/srv/bil\u202eling",
    "https://example.com/a b.git",
    "https://example.com/a\tb.git",
    "https://example.com/x.git#subdirectory=y",
    "https://example.com/x.git?y",
    "https://-oProxyCommand=x/y.git",
    "ssh://git@-oProxyCommand=x/y.git",
    "ssh://-oProxyCommand=x/y.git",
    "ext::sh -c x",
    "ext::x",
    "javascript://x/y",
    "~nobody-of-this-name/billing",
)
BAD_COMMITS = (
    "-",
    "--upload-pack=x",
    " 0.3.0",
    "0.3.0 ",
    "0.3.0\n",
    "0.3 0",
    "a\x00b",
    "0.3.0#subdirectory=x",
    "0.3.0@x",
    "a..b",
    "HEAD^",
    "HEAD~1",
    "x:y",
    "@",
    "é",
)
BAD = (
    *(Row(place, "0.3.0") for place in BAD_PLACES),
    *(Row("/srv/billing", commit) for commit in BAD_COMMITS),
)
