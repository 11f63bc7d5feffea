"""Does what the README prints run, as printed?"""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "<- code" in printed and "verdict" in printed and "FAIL" not in printed
    table = re.search(r"```\n(layer .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    # Not the numbers: which of a row's three directions is shown, the worst, is a matter of rounding.
    assert [line.split()[:2] for line in table.splitlines()] == [
        line.split()[:2] for line in printed.splitlines()[-len(table.splitlines()) :]
    ]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")))
def test_every_link_leads_somewhere(link):
    assert (README.parent / link).exists()
