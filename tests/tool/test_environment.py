"""Settings are read as the app reads them: Node's `parseEnv` for a Worker, python-dotenv for FastAPI."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from dotenv import load_dotenv

from copier_polar.console import BadCall
from copier_polar.environment import parse_node, read_file, settings_of
from tests.support import node

ODD = (
    *(
        "",
        " ",
        "\n",
        "#",
        "A",
        "=",
        "=1",
        " =1\nB=2",
        "A=",
        "A= ",
        "A==",
        "A=b=c",
        "A: 1",
        "A=1",
        " A = 1 ",
        "\tA\t=\t1",
    ),
    *(
        "export A=1",
        "export  A = 1",
        "exportA=1",
        "export\tA=1",
        "export=1",
        "export A",
        "export A=",
        "export export A=1",
    ),
    *(
        'A="a b"',
        "A='a b'",
        "A=`a b`",
        "A=a b",
        'A="  a  "',
        "A=   a   b   ",
        'A=""',
        "A=''",
        "A=``",
        'A="',
        "A='",
        "A=`",
    ),
    *('A="x\ny"\nB=2', "A='x\ny'\nB=2", "A=`x\ny` # c\nB=2", 'A="open\nB=2', "A='open\nB=2", "A=`open\nB=2", 'A="open'),
    *(r'A="x\ny"', r"A='x\ny'", r"A=`x\ny`", r"A=x\ny", r'A="x\ty\r"', r'A="\"x\""', r'A="x\\n"', "A=x\\"),
    *("A=a#b", "A=a # b", 'A="a # b" # c', "A='a#b'#c", "A=#c", "A= #c", "#A=1", "  # A=1\nB=2", "A=1\n  #c=1\nB=2"),
    *('A="a" b', 'A="a""b"', "A='it''s'", "A=it's", "A='x\"y'", 'A="x\'y"', "A=`x'\"y`", 'A=x"y"', "# it's\nA='x'"),
    *("A=1\r\nB=2\r\n", 'A="1"\r\nB=2', 'A="1\r\n2"', "A=1\rB=2", "\ufeffA=1", "\ufeff\nA=1", "A=1\n\ufeffB=2"),
    *(
        "A=\nB=2",
        "A= \nB=2",
        "A \n=1",
        "A=1\nA=2",
        "A=1\n\n\nB=2",
        "A=1 B=2",
        "A=$B",
        "A=${B}",
        "A.B=1",
        "A-B=1",
        "1A=1",
    ),
    *("A B=1", "É=é", "A=a\u00a0", "\u00a0A=1", "A=\x0bx", "A=x\u2028y", "A=1\x00", "#\n\t#''=x", " =\n #=", "A=a\\#b"),
)
PIECES = ("A", "B", "=", "=", "\n", "\n", '"', "'", "`", "#", " ", "x", r"\n", "export ", "\r\n", "\t", "é")
READ = """
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map((text) => parseEnv(text))));
"""


def test_a_text_is_read_as_node_reads_it() -> None:
    chance = random.Random(12)
    texts = [*ODD, *("".join(chance.choices(PIECES, k=chance.randint(1, 14))) for _ in range(2000))]
    done = subprocess.run(
        [str(node.NODE), "--input-type=module", "-e", READ],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    by_node = json.loads(done.stdout)
    assert [(text, parse_node(text)) for text in texts] == list(zip(texts, by_node, strict=True))


@pytest.mark.parametrize("text", [text for text in ODD if "\x00" not in text])
def test_a_text_is_read_as_the_fastapi_app_reads_it(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"B": "of the environment"})
    file = tmp_path / ".env"
    file.write_bytes(text.encode())
    found = settings_of(tmp_path, "fastapi", with_file=True)
    load_dotenv(file)
    assert found == {name: value for name, value in os.environ.items() if value}


@pytest.mark.parametrize(("runtime", "name"), [("worker", ".dev.vars"), ("fastapi", ".env")])
def test_the_operators_environment_wins(
    tmp_path: Path, runtime: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"A": "of the environment", "B": ""})
    (tmp_path / name).write_text("A=1\nB=2\nC=3\nD=\n")
    assert settings_of(tmp_path, runtime, with_file=True) == {"A": "of the environment", "C": "3"}
    assert settings_of(tmp_path, runtime, with_file=False) == {"A": "of the environment"}
    (tmp_path / name).unlink()
    assert settings_of(tmp_path, runtime, with_file=True) == {"A": "of the environment"}


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\nB=2\n")
    assert read_file(file, "worker") == {"A": "\ufffd", "B": "2"}
    with pytest.raises(BadCall, match=r"^\.env cannot be read\.$"):
        read_file(file, "fastapi")
