"""The legal combinations of answers, as `copier.yml` itself has them: no second list of questions or choices.

Each question is Copier's own object, made as a generation would make it from the answers before it; its `when`, choices
and validator say which values are legal. What is unlimited is cut down by rules:

- A question with choices has all that are not disabled. Where several may be chosen: the default, all, none, and of
  each outcome in the derived booleans the largest choice.
- A question of free text has its default and those of `TEXTS` that its validator accepts, at most `SAMPLES` of them.
- Secrets, and what is not asked, have their default. So the catalogue is what Polar answers: it is no answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from jinja2.meta import find_undeclared_variables

from tests.catalogues.hostile import NAMES
from tests.variants.rendering import AnswersMap, Question, Worker
from tests.variants.switches import switches

TEXTS = (*NAMES, "/p", "/app/pro", "/A/b.c/~d-e_f", "Ünïcode & Söhne “GmbH”")
SAMPLES = 3
Outcome = tuple[Any, ...]  # the values of the switches


@dataclass(frozen=True)
class Value:
    """An answer, and the name under which combinations of answers know it."""

    label: str
    answer: Any


@dataclass(frozen=True)
class Combination:
    """Answers that decide about files and code, and what is open to the others, by the question's name."""

    chosen: dict[str, Value] = field(default_factory=dict)
    open: dict[str, list[Value]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """What tells two combinations apart, whatever the catalogue."""
        return tuple((name, value.label) for name, value in self.chosen.items())


class Questionnaire:
    """The questions of a template, answered again and again from where Polar has one catalogue."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.details: dict[str, dict[str, Any]] = dict(worker.template.questions_data)
        self.names = list(self.details)
        self.switches = switches(worker)
        self._deciding = self._read_by(self.switches)
        # Which choices of a question switch the same, by the question and its choices: found out once.
        self._alike: dict[tuple[Any, ...], list[list[Any]]] = {}

    def decides(self, name: str) -> bool:
        """Whether a question's answer may switch something: only then it is tried out."""
        return name in self._deciding

    def _read_by(self, names: Iterable[str]) -> set[str]:
        """The questions that these depend on, and they themselves."""
        environment = self.worker.jinja_env
        found, todo = set[str](), list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                texts = [value for value in self.details[name].values() if isinstance(value, str)]
                read = {each for text in texts for each in find_undeclared_variables(environment.parse(text))}
                todo += [each for each in self.names if each in read]
        return found

    def combinations(self) -> Iterator[Combination]:
        """All combinations of the answers that switch something."""
        yield from self._from(0, {}, Combination())

    def _from(self, at: int, before: dict[str, Any], so_far: Combination) -> Iterator[Combination]:
        if at == len(self.names):
            yield so_far
            return
        name = self.names[at]
        question = self._question(name, before)
        if not self._is_open(question):
            yield from self._from(at + 1, {**before, name: question.get_default()}, so_far)
            return
        values, switching = self._values(at, question, before)
        if not switching:
            so_far = Combination(so_far.chosen, {**so_far.open, name: values})
            yield from self._from(at + 1, {**before, name: values[0].answer}, so_far)
            return
        for value in values:
            more = Combination({**so_far.chosen, name: value}, so_far.open)
            yield from self._from(at + 1, {**before, name: value.answer}, more)

    def _question(self, name: str, before: dict[str, Any]) -> Question:
        """As Copier makes it while it asks."""
        self.worker.answers = AnswersMap(user=before, metadata=self.worker.template.metadata)
        return Question(
            answers=self.worker.answers,
            context=self.worker._render_context(),
            jinja_env=self.worker.jinja_env,
            settings=self.worker.settings,
            var_name=name,
            **self.details[name],
        )

    def _is_open(self, question: Question) -> bool:
        """Whether a person may answer it. `ask` is no measure: a question with one choice left is not shown."""
        return question.get_when() and not question.secret and bool(question.choices or question.get_ask())

    def _values(self, at: int, question: Question, before: dict[str, Any]) -> tuple[list[Value], bool]:
        """Legal values, the default first, and whether they switch anything."""
        default = question.get_default()
        if question.multiselect:
            return self._several(at, question, before)
        if question.choices:
            offered = [
                question.cast_answer(choice.value) for choice in question._formatted_choices if not choice.disabled
            ]
        else:
            offered = _spread([text for text in TEXTS if _is_legal(question, text)])
        legal = [answer for answer in offered if answer != default and _is_legal(question, answer)]
        values = [Value(str(answer), answer) for answer in [default, *legal]]
        return values, self._decide(at, question.var_name, values, before)

    def _decide(self, at: int, name: str, values: list[Value], before: dict[str, Any]) -> bool:
        """Whether these answers lead to different switches."""
        if not self.decides(name):
            return False
        return len({self._outcome(at, {**before, name: value.answer}) for value in values}) > 1

    def _several(self, at: int, question: Question, before: dict[str, Any]) -> tuple[list[Value], bool]:
        """Of a question with several answers."""

        def outcome(answer: Iterable[Any]) -> Outcome | None:
            given = [choice for choice in offered if choice in answer]
            return self._outcome(at, {**before, question.var_name: given}) if _is_legal(question, given) else None

        default = question.get_default()
        offered = _offered(question)
        groups = self._alike.get((question.var_name, *offered))
        if groups is None:
            by_outcome: dict[Outcome | None, list[Any]] = defaultdict(list)
            for choice in offered:
                by_outcome[outcome([choice])].append(choice)
            groups = self._alike[question.var_name, *offered] = list(by_outcome.values())
        largest: dict[Outcome, list[Any]] = {}
        for count in range(len(groups) + 1):
            for some in combinations(groups, count):
                answer = [choice for choice in offered if any(choice in group for group in some)]
                if (found := outcome(answer)) is not None and len(answer) >= len(largest.get(found, ())):
                    largest[found] = answer
        if len(largest) > 1:
            return [
                Value("+".join(answer) if len(offered) <= SAMPLES else self._label(found, largest), answer)
                for found, answer in largest.items()
            ], True
        named = {"default": default, "all": offered, "none": []}
        legal = {label: answer for label, answer in named.items() if _is_legal(question, answer)}
        return [
            Value(label, answer)
            for number, (label, answer) in enumerate(legal.items())
            if answer not in list(legal.values())[:number]
        ], False

    def _label(self, outcome: Outcome, outcomes: Iterable[Outcome]) -> str:
        """The switches that are on, of those that are not the same in all outcomes."""
        seen = zip(self.switches, outcome, zip(*outcomes, strict=True), strict=True)
        return "+".join(name for name, value, all_values in seen if value and len(set(all_values)) > 1)

    def _outcome(self, at: int, answers: dict[str, Any]) -> Outcome:
        """What the switches are where all later questions take their defaults."""
        answers = dict(answers)
        for name in self.names[at + 1 :]:
            if self.decides(name):
                answers[name] = self._question(name, answers).get_default()
        return tuple(answers[name] for name in self.switches)


def _offered(question: Question) -> list[Any]:
    return [question.cast_answer(choice.value) for choice in question._formatted_choices if not choice.disabled]


def _is_legal(question: Question, answer: Any) -> bool:
    try:
        question.validate_answer(question.parse_answer(answer))
    except (ValueError, TypeError):
        return False
    return True


def _spread(texts: list[str]) -> list[str]:
    """The shortest, the longest and the most colourful of them."""
    ordered = [min(texts, key=len), max(texts, key=len), max(texts, key=lambda text: len(set(text)))] if texts else []
    return list(dict.fromkeys(ordered))[:SAMPLES]
