"""Carries over what a user changed in a file that a new version calls otherwise: a command for `_migrations`.

Copier takes a renamed file for a new one and removes the old, with all that its user wrote there. After the update this
merges three versions of the file into its new place: as the old version of the template gave it, as its user had it at
the last commit, and as the new version gives it. A file that its user had deleted stays deleted.

    _migrations:
      - version: "0.3.0"
        command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/rename.py", OLD, NEW, …]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import copier
import yaml

_ANSWERS = ".copier-answers.yml"
_PLACE = "COPIER_POLAR_PLACE"  # set by `copier-polar update --src`: the template is not where the answers say


def carry_over(old: Path, new: Path, before: Path) -> bool:
    """Bring the changes of one file to its new place; whether they fit without a conflict.

    `before` is the project as the old version of the template gave it, untouched.
    """
    if not (before / old).exists() or not new.exists():
        return True  # these answers have no such file, or had none
    mine = _committed(old)
    if mine is None:
        new.unlink()
        return True
    if mine == (before / old).read_bytes():
        return True
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "given")
        given.write_bytes(new.read_bytes())
        new.write_bytes(mine)
        labels = [part for name in ("before updating", "last update", "after updating") for part in ("-L", name)]
        merged = subprocess.run(["git", "merge-file", *labels, new, before / old, given], check=False)
    if not 0 <= merged.returncode < 128:  # otherwise the number of conflicts
        raise RuntimeError(f"git merge-file failed for {new}")
    return merged.returncode == 0


def _committed(path: Path) -> bytes | None:
    """A file as its user had it: an update begins where everything is committed."""
    found = subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True, check=False)
    return found.stdout if found.returncode == 0 else None


def _render_before(destination: Path) -> None:
    """What the old version of the template made of the answers of then."""
    answers = yaml.safe_load(_committed(Path(_ANSWERS)) or b"{}")
    copier.run_copy(
        os.environ.get(_PLACE) or answers["_src_path"],
        destination,
        data={name: answer for name, answer in answers.items() if not name.startswith("_")},
        vcs_ref=answers["_commit"],
        defaults=True,
        unsafe=True,
        quiet=True,
    )


def main(names: list[str]) -> None:
    """Carry over the pairs of old and new names, relative to the project that is the current folder."""
    with tempfile.TemporaryDirectory() as folder:
        _render_before(Path(folder, "before"))
        for old, new in zip(names[::2], names[1::2], strict=True):
            if not carry_over(Path(old), Path(new), Path(folder, "before")):
                print(f"{old} is now {new}: resolve the conflicts there.", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
