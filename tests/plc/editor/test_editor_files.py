"""What editors are given in ``config/editors`` and ``docs/editors.md`` loads, and knows the words of the language."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from plc.cli import add_commands
from plc.editor import words
from plc.language import standard
from plc.language.declare import standard_blocks
from plc.language.tokens import RESERVED
from plc.language.types import ELEMENTARY

ROOT = Path(__file__).parents[3]
EXTENSION = ROOT / "config" / "editors" / "vscode"
PAGE = (ROOT / "docs" / "editors.md").read_text()


def load(name: str) -> Any:
    return json.loads((EXTENSION / name).read_text())


def patterns_in(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [
            value
            for key, value in node.items()
            if key in ("match", "begin", "end") and isinstance(value, str)
        ]
        return own + [one for value in node.values() for one in patterns_in(value)]
    return [one for value in node for one in patterns_in(value)] if isinstance(node, list) else []


def test_every_file_that_the_extension_names_is_there() -> None:
    package = load("package.json")
    contributes = package["contributes"]
    named = [
        package["main"],
        *(one["configuration"] for one in contributes["languages"]),
        *(one["path"] for one in contributes["grammars"]),
    ]
    assert [name for name in named if not (EXTENSION / name).is_file()] == []


def test_the_extension_starts_a_command_that_there_is() -> None:
    command = load("package.json")["contributes"]["configuration"]["properties"]["tieline.command"]["default"]
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    assert command[0] == "tieline"
    assert parser.parse_args(command[1:]).run.__name__ == "run_lsp"


def test_the_extension_is_javascript_and_the_patterns_are_too() -> None:
    subprocess.run(["node", "--check", str(EXTENSION / "extension.js")], check=True, timeout=60)
    configuration = load("language-configuration.json")
    patterns = [configuration["wordPattern"], *configuration["indentationRules"].values()]
    script = "for (const one of JSON.parse(process.argv[1])) new RegExp(one)"
    subprocess.run(["node", "-e", script, json.dumps(patterns)], check=True, timeout=60)


def test_every_pattern_of_the_grammar_compiles() -> None:
    found = patterns_in(load("syntaxes/iecst.tmLanguage.json"))
    assert len(found) > 15
    for pattern in found:
        re.compile(pattern)


def test_every_include_of_the_grammar_is_there() -> None:
    grammar = load("syntaxes/iecst.tmLanguage.json")
    included = set(re.findall(r'"include": "#(\w+)"', json.dumps(grammar)))
    assert included == grammar["repository"].keys()


def test_the_grammar_knows_every_reserved_word_and_type() -> None:
    grammar = load("syntaxes/iecst.tmLanguage.json")["repository"]
    known = [
        re.compile(one["match"])
        for one in (*grammar["keywords"]["patterns"], *grammar["literals"]["patterns"])
    ]
    missing = [word for word in (*RESERVED, *ELEMENTARY) if not any(one.fullmatch(word) for one in known)]
    assert missing == []


def test_every_standard_function_and_block_is_explained() -> None:
    assert words.FUNCTIONS.keys() == standard.FUNCTIONS.keys() | standard.QUERIES
    assert [name for name in standard_blocks() if words.block_words(name) is None] == []


def test_the_pages_settings_load() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    settings = tomllib.loads(toml)
    assert settings["language-server"]["tieline"]["args"] == ["plc", "lsp"]
    (setting,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads("{" + setting + "}")["tieline.command"][1:] == ["plc", "lsp"]
    assert "--stdio" in PAGE
