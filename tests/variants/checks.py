"""Types, lint and own tests of many projects: one install serves all, and few processes do much of the work.

Each check takes projects by a name of theirs, and gives what is wrong by that name: nothing where nothing is.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import get_ident
from typing import Any, Self

from tests.support import node, python_env
from tests.support.node import Workspace
from tests.support.process import run
from tests.support.python_env import PythonEnvironment
from tests.variants.files import strict
from tests.variants.processes import CORES, quick_folder
from tests.variants.stage import Pytest, modules_of_others

_AT_ONCE = 8  # Workers in one vitest process: each has a workerd of its own
_CHECKED_AT_ONCE = 24  # Workers in one process of the type checker
_ON_CORES = ("--builders", str(CORES), "--checkers", "1")
_CONFIGS = ("test/tsconfig.json", "scripts/tsconfig.json")
_CONFIG_WITHOUT_TESTS = ("tsconfig.json",)
_TYPES = "worker-configuration.d.ts"
_SLUG = re.compile(r'^  "name": "[^"]*",$', re.MULTILINE)

Projects = Mapping[str, Path]
Faults = dict[str, list[str]]
Say = Callable[[str], None]


def _each(
    projects: Projects,
    check: Callable[[Path], Iterable[str]],
    what: str,
    say: Say,
    alike: Mapping[str, str] | None = None,
) -> Faults:
    """Run a check on every project, as many at once as there are cores; those that are alike after each other."""
    groups: dict[str, dict[str, Path]] = defaultdict(dict)
    for name, project in projects.items():
        groups[alike[name] if alike else name][name] = project

    def checked(group: Projects) -> Faults:
        return {name: list(check(path)) for name, path in group.items()}

    faults: Faults = {}
    done = told = 0
    with ThreadPoolExecutor(CORES) as pool:
        for found in pool.map(checked, sorted(groups.values(), key=len, reverse=True)):
            ill = {name: wrong for name, wrong in found.items() if wrong}
            faults |= ill
            done += len(found)
            if ill or done - told >= 10 or done == len(projects):
                told = done
                _tell(say, what, done, projects, faults)
    return faults


def _tell(say: Say, what: str, done: int, projects: Projects, faults: Faults) -> None:
    """How far a check has come."""
    say(f"{what}: {done} of {len(projects)}{f', {len(faults)} with faults' if faults else ''}")


def _first(projects: Projects, alike: Mapping[str, str]) -> Projects:
    """One project of each kind: `alike` has the same for those whose code differs in nothing but literals."""
    kinds: dict[str, str] = {}
    for name in projects:
        kinds.setdefault(alike.get(name, name), name)
    return {name: projects[name] for name in kinds.values()}


def together(*all_faults: Faults) -> Faults:
    """Faults of several checks."""
    merged: Faults = defaultdict(list)
    for faults in all_faults:
        for name, wrong in faults.items():
            merged[name] += wrong
    return dict(merged)


# --- Workers ----------------------------------------------------------------------------------------------------------


class Workers:
    """Worker projects below one folder that has the modules of them all."""

    def __init__(self, folder: str, projects: Projects, template: Path) -> None:
        self.workspace: Workspace = node.workspace({"dependencies": _packages(template)})
        self.root = self.workspace.root / folder
        shutil.rmtree(self.root, ignore_errors=True)
        self.projects = {name: self._take(name, project) for name, project in projects.items()}

    def _take(self, name: str, project: Path) -> Path:
        """A copy below the modules, under a name of its own: vitest tells projects apart by it."""
        copy = shutil.copytree(project, self.root / name)
        manifest = copy / "package.json"
        manifest.write_text(_SLUG.sub(f'  "name": "p{name}",', manifest.read_text(), count=1))
        return copy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def types_and_lint(self, alike: Mapping[str, str], say: Say = print) -> Faults:
        """`npm run check`, and that every dependency is used."""
        self._write_types()
        return together(
            self._type_checked_together(alike, say),
            self._linted_together(),
            _each(self.projects, self._unused, "dependencies of Workers", say),
        )

    def bundles(self, alike: Mapping[str, str], say: Say = print) -> Faults:
        """Every Worker can be deployed; what literals are in it is all the same to that."""
        return _each(_first(self.projects, alike), self._bundled, "bundles", say)

    def _write_types(self) -> None:
        """What `wrangler types` makes depends on `wrangler.jsonc` alone: run once for those that are alike."""
        kinds: dict[str, list[Path]] = defaultdict(list)
        for project in self.projects.values():
            kinds[_without_names((project / "wrangler.jsonc").read_text())].append(project)
        first, *others = kinds.values()
        self._write_types_of(first)

        def knowing(projects: list[Path]) -> None:
            # Types of the runtime are all the same, and taken over from a file that has them.
            if (first[0] / _TYPES).exists():
                shutil.copy(first[0] / _TYPES, projects[0])
            self._write_types_of(projects)

        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(knowing, others))

    def _write_types_of(self, projects: list[Path]) -> None:
        """Of those that are alike; where it fails, each has to say so itself."""
        types = projects[0] / _TYPES
        if list(self._run(projects[0], "wrangler", "types")):
            types.unlink(missing_ok=True)
        if types.exists():
            for other in projects[1:]:
                shutil.copy(types, other)

    def _type_checked_together(self, alike: Mapping[str, str], say: Say) -> Faults:
        """One process for some at a time, which reads what they share once; where one is ill, one each says where.

        The tests with all that they test, and the scripts. That the Worker needs no types of its tests is a matter of
        what it names, not of literals: one of those that are alike shows it.
        """
        faults: Faults = {}
        first, names = _first(self.projects, alike), list(self.projects)
        for at in range(0, len(names), _CHECKED_AT_ONCE):
            some = names[at : at + _CHECKED_AT_ONCE]
            configs = {name: [*_CONFIGS, *(_CONFIG_WITHOUT_TESTS if name in first else ())] for name in some}
            all_configs = [f"{name}/{config}" for name in some for config in configs[name]]
            if wrong := list(self._run(self.root, "tsc", "--build", "--force", *_ON_CORES, *all_configs)):
                alone = {name: list(self._type_checked(self.projects[name], configs[name])) for name in some}
                faults |= {name: each for name, each in alone.items() if each} or {some[0]: wrong}
            for name in some:
                for state in self.projects[name].rglob("*.tsbuildinfo"):
                    state.unlink()
            _tell(say, "types of Workers", at + len(some), self.projects, faults)
        return faults

    def _type_checked(self, project: Path, configs: Iterable[str]) -> Iterator[str]:
        if not (project / _TYPES).exists():
            yield from self._run(project, "wrangler", "types")
        for config in configs:
            yield from self._run(project, "tsc", "--noEmit", "-p", config)

    def _linted_together(self) -> Faults:
        """One process for all, which reads what several have once; where something is wrong, one each says where."""
        all_files = self.root / "lint"
        seen = set[tuple[Path, bytes]]()
        for name, project in self.projects.items():
            for path in (path for path in project.rglob("*") if path.is_file() and path.name != _TYPES):
                file, content = path.relative_to(project), path.read_bytes()
                # The manifest says which rules are for a project; the settings are one for all, above them.
                if file.name == "package.json" or (file, content) not in seen:
                    target = all_files / (file if file.name == "biome.json" else Path(name, file))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
                    seen.add((file, content))
        settings = sum(file.name == "biome.json" for file, _ in seen)
        if settings == 1 and not list(self._linted(all_files)):
            return {}
        return _each(self.projects, self._linted, "lint of Workers", print)

    def _linted(self, folder: Path) -> Iterator[str]:
        return self._run(folder, "biome", "ci", "--error-on-warnings")

    def _bundled(self, project: Path) -> Iterator[str]:
        return self._run(project, "wrangler", "deploy", "--dry-run", "--outdir", ".bundle")

    def _unused(self, project: Path) -> Iterator[str]:
        manifest = json.loads(_read_manifest(project))
        scripts = "\n".join(manifest["scripts"].values())
        texts = [
            path.read_text()
            for pattern in ("*.ts", "*.json", "*.jsonc")
            for path in project.rglob(pattern)
            if path.name not in ("package.json", _TYPES)
        ]
        used = "\n".join([scripts, *texts])
        for name in {**manifest["dependencies"], **manifest["devDependencies"]}:
            installed = json.loads((self.workspace.root / "node_modules" / name / "package.json").read_text())
            commands = installed.get("bin", {})
            commands = commands if isinstance(commands, dict) else {name: ""}
            words = [f'"{name}', f'"{name.removeprefix("@types/")}"', *(f"{command} " for command in commands)]
            if not any(word in f"{used} " for word in words):
                yield f"package.json: {name} is used by nothing"

    def _run(self, project: Path, program: str, *arguments: str) -> Iterator[str]:
        done = node.run(self.workspace.bin(program), *arguments, cwd=project, timeout=300)
        if done.returncode or "Action required" in done.stdout:
            yield f"{program} {' '.join(arguments)}:\n{(done.stdout + done.stderr)[-3000:]}"

    def own_tests(
        self, files: Mapping[str, list[str]] | None = None, say: Say = print, isolate: bool = False
    ) -> Faults:
        """`npm test` of all, or these files of each: one vitest process for some at a time.

        Its test files share a workerd, which is four times as fast; `isolate` gives each its own, as users have it.
        """
        faults: Faults = {}
        for name, project in self.projects.items():
            for path in project.glob("test/*.test.ts") if files else ():
                if path.relative_to(project).as_posix() not in files[name]:
                    path.unlink()
        names = list(self.projects)
        for at in range(0, len(names), _AT_ONCE):
            some = names[at : at + _AT_ONCE]
            faults |= self._tested(some, isolate)
            _tell(say, "own tests of Workers", at + len(some), self.projects, faults)
        return faults

    def _tested(self, names: list[str], isolate: bool) -> Faults:
        listed = json.dumps([f"{name}/vitest.config.ts" for name in names])
        (self.root / "vitest.config.ts").write_text(
            'import { defineConfig } from "vitest/config";\n\n'
            f"export default defineConfig({{ test: {{ projects: {listed} }} }});\n"
        )
        report = self.root / "report.json"
        report.unlink(missing_ok=True)
        how = [] if isolate else ["--no-isolate"]
        reporters = ["--reporter=default", "--reporter=json", f"--outputFile.json={report}"]
        vitest = [self.workspace.bin("vitest"), "run", f"--maxWorkers={CORES}", *how, *reporters]
        env = node.environment(TMPDIR=quick_folder())  # for the stores
        done = node.run(*vitest, cwd=self.root, timeout=120 * len(names) + 120, env=env)
        if not report.exists():
            return {name: [done.stdout[-3000:] + done.stderr[-3000:]] for name in names}
        by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for file in json.loads(report.read_text())["testResults"]:
            by_name[Path(file["name"]).relative_to(self.root).parts[0]].append(file)
        faults = {name: wrong for name, files in by_name.items() if (wrong := list(_failed(files)))}
        if done.returncode and not faults:
            return {name: [done.stdout[-3000:] + done.stderr[-3000:]] for name in names}
        return faults


def _without_names(wrangler: str) -> str:
    """Its settings without comments and the names of project and database, which no type has."""
    settings = json.loads(strict(wrangler))
    for named, name in ((settings, "name"), *((each, "database_name") for each in settings["d1_databases"])):
        named.pop(name)
    return json.dumps(settings)


def _packages(template: Path) -> dict[str, str]:
    """Every package that some Worker depends on: one install serves all answers."""
    text = (template / "template" / "worker" / "package.json.jinja").read_text()
    return dict(re.findall(r'^    "([^"]+)": "(\d+\.\d+\.\d+)"', text, re.MULTILINE))


def _read_manifest(project: Path) -> str:
    return (project / "package.json").read_text()


def _failed(files: list[dict[str, Any]]) -> Iterator[str]:
    cases = [case for file in files for case in file["assertionResults"]]
    for case in cases:
        if case["status"] == "failed":
            yield f"{case['fullName']}: {' '.join(case['failureMessages'])[:800]}"
    for file in files:
        if file["status"] == "failed" and file["message"]:
            yield f"{file['name']}: {file['message'][:800]}"
    if not any(case["status"] == "passed" for case in cases):
        yield "it ran no test of its own"


# --- FastAPI ----------------------------------------------------------------------------------------------------------


class FastApis:
    """FastAPI projects, and one Python environment for them all."""

    def __init__(self, projects: Projects, template: Path) -> None:
        self.projects = projects
        text = (template / "template" / "fastapi" / "pyproject.toml.jinja").read_text()
        # Whatever some answers bring: one environment serves all.
        self.python: PythonEnvironment = python_env.installed(re.findall(r'^  "([^"]+==[^"]+)",$', text, re.MULTILINE))

    def types_and_lint(self, caches: Path, alike: Mapping[str, str], say: Say = print) -> Faults:
        """Formatter, linter, both type checkers, and that every dependency is used.

        mypy knows again what is the same in another project: a cache for each thread, below `caches`. The second type
        checker has no cache: it reads one project of those that are alike.
        """
        return together(
            self._ruff("format", "--check"),
            self._ruff("check"),
            _each(self.projects, partial(self._type_checked, caches), "types of FastAPI apps", say, alike),
            _each(_first(self.projects, alike), self._checked_again, "types of FastAPI apps, again", say),
            _each(self.projects, self._unused, "dependencies of FastAPI apps", say),
        )

    def _ruff(self, *command: str) -> Faults:
        """One process for all; where something is wrong, one each says where."""
        paths = list(self.projects.values())
        if not paths or not list(self._run(paths[0], "ruff", *command, *map(str, paths))):
            return {}
        found = {name: list(self._run(path, "ruff", *command, ".")) for name, path in self.projects.items()}
        return {name: wrong for name, wrong in found.items() if wrong}

    def _type_checked(self, caches: Path, project: Path) -> Iterator[str]:
        return self._run(project, "mypy", "--cache-dir", str(caches / f"mypy-{get_ident()}"))

    def _checked_again(self, project: Path) -> Iterator[str]:
        return self._run(project, "ty", "check", "--python", str(self.python.root))

    def _unused(self, project: Path) -> Iterator[str]:
        return python_env.unused(project, self.python)

    def own_tests(self, files: Mapping[str, list[str]], say: Say = print) -> Faults:
        """pytest of these files of each: a stage for each core, on which one project stands after another."""
        names = {project: name for name, project in self.projects.items()}
        modules = modules_of_others(self.projects.values())
        with TemporaryDirectory(dir=quick_folder()) as folder, ExitStack() as stack:
            stages: SimpleQueue[Pytest] = SimpleQueue()
            for number in range(min(CORES, len(names))):
                stages.put(stack.enter_context(Pytest(self.python, Path(folder, f"stage-{number}"), modules)))

            def tested(project: Path) -> Iterator[str]:
                stage = stages.get()
                try:
                    if failure := stage.failure(project, files[names[project]], timeout=600):
                        yield failure
                finally:
                    stages.put(stage)

            return _each(self.projects, tested, "own tests of FastAPI apps", say)

    def own_tests_alone(self, say: Say = print) -> Faults:
        """`uv run pytest` of each, in a process that nobody prepared and on servers of its own."""

        def tested(project: Path) -> Iterator[str]:
            return self._run(project, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", timeout=900)

        return _each(self.projects, tested, "own tests of FastAPI apps, alone", say)

    def _run(self, project: Path, program: str, *arguments: str, timeout: float = 300) -> Iterator[str]:
        env = self.python.variables(project)
        try:
            run([self.python.bin(program), *arguments], cwd=project, env=env, timeout=timeout)
        except RuntimeError as error:
            yield str(error)
