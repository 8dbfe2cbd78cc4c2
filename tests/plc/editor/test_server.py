"""``tieline plc lsp`` as an editor sees it: the real process over stdio, asked by pytest-lsp's client."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from lsprotocol import types as lsp
from pytest_lsp import LanguageClient, client_capabilities, make_test_lsp_client

PUMP = """\
TYPE
    Mode : (Idle, Running, Faulted := 9);
    Limits : STRUCT
        low_kw : REAL;
        high_kw : REAL;
    END_STRUCT;
END_TYPE

// Keeps the tank full.
FUNCTION_BLOCK Pump
    VAR_INPUT
        run : BOOL; // from the panel
        {attribute 'unit' := 'kW'}
        demand : REAL;
    END_VAR
    VAR_OUTPUT
        speed : REAL;
    END_VAR
    VAR
        limits : Limits;
        mode : Mode;
        wait : TON;
    END_VAR
    VAR CONSTANT
        FULL : REAL := 2.0 * 50.0;
    END_VAR
    METHOD PUBLIC Stop : BOOL
        mode := Mode#Idle;
        Stop := TRUE;
    END_METHOD
    wait(IN := run, PT := T#1s);
    IF wait.Q AND demand > limits.low_kw THEN
        mode := Mode#Running;
        speed := LIMIT(0.0, demand, FULL);
    ELSE
        mode := Mode#Faulted;
        speed := REAL#0.0;
    END_IF;
END_FUNCTION_BLOCK
"""

MAIN = """\
PROGRAM Main
    VAR
        pump : Pump;
        total : REAL;
    END_VAR
    (* ÄÖ 😀 *) pump(run := TRUE, demand := 5.0);
    (* 😀😀 *) total := total + pump.speed;
    pump.Stop();
END_PROGRAM
"""


UNTIDY = """\
PROGRAM Main
    VAR
        pump : Pump;
    END_VAR
  pump . Stop( ) ;
    pump();
END_PROGRAM
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Editor:
    """A client with a folder of files, some of them open."""

    def __init__(self, client: LanguageClient, folder: Path, encoding: str) -> None:
        self.client = client
        self.folder = folder
        self.encoding = encoding
        self.texts: dict[str, str] = {}
        self.opened: set[str] = set()

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def document(self, name: str) -> lsp.TextDocumentIdentifier:
        return lsp.TextDocumentIdentifier(self.uri(name))

    def open(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.opened.add(name)
        item = lsp.TextDocumentItem(self.uri(name), "iecst", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def type(self, name: str, text: str, version: int = 2) -> None:
        """The whole text is replaced by what it is after typing."""
        self.texts[name] = text
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        document = lsp.VersionedTextDocumentIdentifier(uri=self.uri(name), version=version)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))

    def position(self, name: str, needle: str, *, nth: int = 0, behind: int = 0) -> lsp.Position:
        """The place ``behind`` characters after the start of a needle, counted here by the protocol's rules."""
        text = self.texts[name]
        at = -1
        for _ in range(nth + 1):
            at = text.index(needle, at + 1)
        at += behind
        line_start = text.rfind("\n", 0, at) + 1
        column = text[line_start:at]
        units = len(column.encode(self.encoding)) // (2 if self.encoding == "utf-16-le" else 1)
        return lsp.Position(text.count("\n", 0, at), units)

    async def problems(
        self, name: str, wanted: Callable[[list[lsp.Diagnostic]], bool]
    ) -> list[lsp.Diagnostic]:
        """What the server shows for a file, as soon as it is what is waited for."""

        async def shown() -> list[lsp.Diagnostic]:
            while not (
                self.uri(name) in self.client.diagnostics and wanted(self.client.diagnostics[self.uri(name)])
            ):
                await self.client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
            return list(self.client.diagnostics[self.uri(name)])

        return await asyncio.wait_for(shown(), 30)

    async def hover(self, name: str, position: lsp.Position) -> str:
        found = await self.client.text_document_hover_async(lsp.HoverParams(self.document(name), position))
        if found is None:
            return ""
        assert isinstance(found.contents, lsp.MarkupContent)
        return found.contents.value

    async def completion(self, name: str, position: lsp.Position) -> dict[str, lsp.CompletionItem]:
        found = await self.client.text_document_completion_async(
            lsp.CompletionParams(self.document(name), position)
        )
        assert isinstance(found, list)
        return {item.label: item for item in found}

    async def signature(self, name: str, position: lsp.Position) -> lsp.SignatureHelp | None:
        return await self.client.text_document_signature_help_async(
            lsp.SignatureHelpParams(self.document(name), position)
        )


@asynccontextmanager
async def served(folder: Path, *encodings: lsp.PositionEncodingKind) -> AsyncIterator[Editor]:
    client = make_test_lsp_client()
    watched: list[lsp.Registration] = []

    @client.feature(lsp.CLIENT_REGISTER_CAPABILITY)
    def register(params: lsp.RegistrationParams) -> None:
        watched.extend(params.registrations)

    await client.start_io(str(Path(sys.executable).with_name("tieline")), "plc", "lsp")
    capabilities = client_capabilities("visual-studio-code")
    assert capabilities.general is not None
    capabilities.general.position_encodings = list(encodings) or None
    result = await client.initialize_session(
        lsp.InitializeParams(
            capabilities=capabilities, workspace_folders=[lsp.WorkspaceFolder(folder.as_uri(), folder.name)]
        )
    )
    chosen = result.capabilities.position_encoding or lsp.PositionEncodingKind.Utf16
    try:
        yield Editor(client, folder, "utf-8" if chosen == lsp.PositionEncodingKind.Utf8 else "utf-16-le")
    finally:
        await client.shutdown_session()
        await client.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LanguageClient]:
    """One server for all tests: they differ by folder."""
    async with served(tmp_path_factory.mktemp("empty")) as one:
        yield one.client


@pytest_asyncio.fixture(loop_scope="module")
async def editor(client: LanguageClient, tmp_path: Path) -> AsyncIterator[Editor]:
    """A folder of its own, which the editor adds to what it shows and takes away again."""
    (tmp_path / "pump.st").write_text(PUMP)
    (tmp_path / "main.st").write_text(MAIN)
    folder = lsp.WorkspaceFolder(tmp_path.as_uri(), tmp_path.name)
    client.workspace_did_change_workspace_folders(
        lsp.DidChangeWorkspaceFoldersParams(lsp.WorkspaceFoldersChangeEvent(added=[folder], removed=[]))
    )
    one = Editor(client, tmp_path, "utf-16-le")
    yield one
    for name in one.opened:
        client.text_document_did_close(lsp.DidCloseTextDocumentParams(one.document(name)))
    client.workspace_did_change_workspace_folders(
        lsp.DidChangeWorkspaceFoldersParams(lsp.WorkspaceFoldersChangeEvent(added=[], removed=[folder]))
    )


# ── problems ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_fault_is_shown_when_it_is_typed_and_gone_when_it_is_mended(editor: Editor) -> None:
    editor.open("main.st", MAIN)
    editor.type("main.st", MAIN.replace("total := total", "total := totla"))
    (found,) = [
        one for one in await editor.problems("main.st", lambda found: bool(found)) if one.code == "ST0200"
    ]
    assert found.severity == lsp.DiagnosticSeverity.Error
    assert found.range.start == editor.position(
        "main.st", "totla"
    )  # behind two characters beyond the first plane
    assert found.range.end == editor.position("main.st", "totla", behind=5)
    assert "did you mean total?" in found.message
    editor.type("main.st", MAIN, version=3)
    await editor.problems("main.st", lambda found: not found)


async def test_the_folder_is_one_program_and_unsaved_text_wins_over_the_file(editor: Editor) -> None:
    editor.open("main.st", MAIN)
    assert await editor.hover("main.st", editor.position("main.st", "speed"))
    editor.open("pump.st", PUMP)
    editor.type("pump.st", PUMP.replace("speed", "rate"))
    (found,) = await editor.problems("main.st", lambda found: bool(found))
    assert found.code == "ST0203"
    editor.opened.remove("pump.st")
    closing = lsp.DidCloseTextDocumentParams(editor.document("pump.st"))
    editor.client.text_document_did_close(closing)  # what was typed is thrown away
    await editor.problems("main.st", lambda found: not found)


async def test_a_file_changed_by_something_else_is_read_again(editor: Editor) -> None:
    editor.open("main.st", MAIN)
    await editor.hover("main.st", lsp.Position(0, 0))
    (editor.folder / "pump.st").write_text(PUMP.replace("Pump", "Compressor"))
    event = lsp.FileEvent(editor.uri("pump.st"), lsp.FileChangeType.Changed)
    editor.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))
    found = await editor.problems("main.st", lambda found: bool(found))
    assert found[0].code == "ST0201"


async def test_a_wrong_name_is_changed_to_the_nearest_right_one(editor: Editor) -> None:
    editor.open("main.st", MAIN.replace("pump.speed", "pump.sped"))
    (found,) = await editor.problems("main.st", lambda found: bool(found))
    actions = await editor.client.text_document_code_action_async(
        lsp.CodeActionParams(editor.document("main.st"), found.range, lsp.CodeActionContext([found]))
    )
    assert actions is not None
    (action,) = actions
    assert isinstance(action, lsp.CodeAction)
    assert action.title == "Change to speed"
    assert action.edit is not None
    assert action.edit.changes is not None
    assert list(action.edit.changes[editor.uri("main.st")]) == [lsp.TextEdit(found.range, "speed")]


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("needle", "nth", "shown"),
    [
        ("demand", 1, ("VAR_INPUT", "demand : REAL;", "Unit: kW")),
        ("run", 1, ("run : BOOL;", "from the panel")),
        ("FULL", 1, ("CONSTANT", "FULL : REAL := 2.0 * 50.0", "100.0")),
        ("LIMIT(", 0, ("LIMIT(MN : ANY_ELEMENTARY", "not below MN")),
        ("TON", 0, ("FUNCTION_BLOCK TON", "INPUT PT : TIME", "on-delay")),
        ("low_kw", 1, ("low_kw : REAL",)),
        ("Faulted", 1, ("Mode#Faulted := 9",)),
        ("Mode#Idle", 0, ("TYPE Mode",)),
        ("Mode;", 0, ("TYPE Mode", "Running := 1")),
        ("Stop : BOOL", 0, ("METHOD Stop() : BOOL",)),
        ("Pump", 0, ("FUNCTION_BLOCK Pump", "Keeps the tank full.")),
        ("BOOL", 0, ("1 bit",)),
    ],
)
async def test_hover_shows_declaration_and_words(
    editor: Editor, needle: str, nth: int, shown: tuple[str, ...]
) -> None:
    editor.open("pump.st", PUMP)
    found = await editor.hover("pump.st", editor.position("pump.st", needle, nth=nth, behind=1))
    for piece in shown:
        assert piece in found


async def test_nothing_is_shown_for_words_in_a_comment(editor: Editor) -> None:
    editor.open("pump.st", "// SIN and COS\n" + PUMP)
    assert await editor.hover("pump.st", editor.position("pump.st", "SIN", behind=1)) == ""


async def test_definition_in_another_file(editor: Editor) -> None:
    editor.open("main.st", MAIN)
    editor.texts["pump.st"] = PUMP
    found = await editor.client.text_document_definition_async(
        lsp.DefinitionParams(editor.document("main.st"), editor.position("main.st", "speed", behind=2))
    )
    assert isinstance(found, lsp.Location)
    assert found.uri == editor.uri("pump.st")
    assert found.range.start == editor.position("pump.st", "speed")


async def test_references_in_every_file(editor: Editor) -> None:
    editor.open("pump.st", PUMP)
    editor.texts["main.st"] = MAIN
    found = await editor.client.text_document_references_async(
        lsp.ReferenceParams(
            lsp.ReferenceContext(include_declaration=True),
            editor.document("pump.st"),
            editor.position("pump.st", "speed"),
        )
    )
    assert found is not None
    assert [(one.uri, one.range.start) for one in found] == [
        (editor.uri("main.st"), editor.position("main.st", "speed")),
        *((editor.uri("pump.st"), editor.position("pump.st", "speed", nth=nth)) for nth in range(3)),
    ]


@pytest.mark.parametrize("encoding", [lsp.PositionEncodingKind.Utf16, lsp.PositionEncodingKind.Utf8])
async def test_columns_count_what_was_agreed_on(tmp_path: Path, encoding: lsp.PositionEncodingKind) -> None:
    async with served(tmp_path, encoding) as editor:
        editor.open("all.st", PUMP + MAIN)
        found = await editor.client.text_document_definition_async(
            lsp.DefinitionParams(editor.document("all.st"), editor.position("all.st", "pump(run"))
        )
        assert isinstance(found, lsp.Location)
        assert found.range.start == editor.position("all.st", "pump : Pump")
        assert "total : REAL" in await editor.hover("all.st", editor.position("all.st", "total := total"))
        places = await editor.client.text_document_references_async(
            lsp.ReferenceParams(
                lsp.ReferenceContext(include_declaration=False),
                editor.document("all.st"),
                editor.position("all.st", "total :"),
            )
        )
        assert places is not None
        assert [one.range.start for one in places] == [
            editor.position("all.st", "total := total"),
            editor.position("all.st", "total + "),
        ]


async def test_the_outline(editor: Editor) -> None:
    editor.open("pump.st", PUMP)
    found = await editor.client.text_document_document_symbol_async(
        lsp.DocumentSymbolParams(editor.document("pump.st"))
    )
    assert found is not None
    names = {
        one.name: [inner.name for inner in one.children or ()]
        for one in found
        if isinstance(one, lsp.DocumentSymbol)
    }
    assert names["Mode"] == ["Idle", "Running", "Faulted"]
    assert names["Limits"] == ["low_kw", "high_kw"]
    assert names["Pump"] == ["run", "demand", "speed", "limits", "mode", "wait", "FULL", "Stop"]


# ── typing ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("pump.", {"run", "demand", "speed", "Stop"}, {"mode", "total", "IF"}),
        ("pump.sp", {"speed"}, {"total"}),
        ("to", {"total", "pump", "LIMIT", "IF", "TON"}, {"limits", "Pump"}),
        ("pump(", {"run := ", "demand := ", "speed => ", "total"}, set()),
        ("pump(run := TRUE, ", {"demand := "}, set()),
        ("total := LIMIT(", {"MN := ", "total"}, set()),
        ("IF pump.run AND pump.", {"speed"}, {"total"}),
        ("x := Mode#", {"Idle", "Running", "Faulted"}, {"total"}),
        ("'pump.", set(), {"speed", "total"}),
        ("// pump.", set(), {"speed", "total"}),
        ("nothing.", set(), {"speed", "total"}),
    ],
)
async def test_completion_of_half_typed_text(
    editor: Editor, typed: str, wanted: set[str], unwanted: set[str]
) -> None:
    editor.open("main.st", MAIN)
    assert await editor.hover("main.st", editor.position("main.st", "total"))
    editor.type("main.st", MAIN.replace("    pump.Stop();", f"    {typed}§").replace("§", ""))
    end = editor.position("main.st", "\nEND_PROGRAM")
    items = await editor.completion("main.st", end)
    assert wanted <= items.keys()
    assert unwanted.isdisjoint(items)


async def test_completion_of_a_declaration_offers_types(editor: Editor) -> None:
    text = MAIN.replace("        total : REAL;\n", "        total : \n")
    editor.open("main.st", text)
    items = await editor.completion("main.st", editor.position("main.st", "total : ", behind=8))
    assert {"REAL", "Pump", "Mode", "TON"} <= items.keys()
    assert {"pump", "IF", "SIN"}.isdisjoint(items)


async def test_the_members_of_this_block(editor: Editor) -> None:
    editor.open("pump.st", PUMP.replace("Stop := TRUE;", "Stop := TRUE; THIS."))
    items = await editor.completion("pump.st", editor.position("pump.st", "THIS.", behind=5))
    assert {"mode", "limits", "Stop", "speed"} <= items.keys()


@pytest.mark.parametrize(
    ("typed", "label", "active"),
    [
        ("pump(", "Pump(run : BOOL, demand : REAL, => speed : REAL)", 0),
        ("pump(demand := ", "Pump(run : BOOL, demand : REAL, => speed : REAL)", 1),
        ("total := LIMIT(1.0, total * (2.0 + ", "LIMIT(MN : ANY_ELEMENTARY, IN : ANY_ELEMENTARY, MX :", 1),
        ("total := MAX(1.0, 2.0, 3.0, ", "MAX(IN1 : ANY_ELEMENTARY, IN2 : ANY_ELEMENTARY, …)", 2),
        ("total := DINT_TO_REAL(", "DINT_TO_REAL(IN : DINT) : REAL", 0),
    ],
)
async def test_the_signature_of_the_call_that_is_typed(
    editor: Editor, typed: str, label: str, active: int
) -> None:
    editor.open("main.st", MAIN)
    await editor.hover("main.st", lsp.Position(0, 0))
    editor.type("main.st", MAIN.replace("    pump.Stop();", f"    {typed}"))
    found = await editor.signature("main.st", editor.position("main.st", "\nEND_PROGRAM"))
    assert found is not None
    (shown,) = found.signatures
    assert shown.label.startswith(label)
    assert found.active_parameter == active


async def test_formatting_changes_only_what_it_has_to(editor: Editor) -> None:
    editor.open("main.st", UNTIDY)
    found = await editor.client.text_document_formatting_async(
        lsp.DocumentFormattingParams(editor.document("main.st"), lsp.FormattingOptions(4, insert_spaces=True))
    )
    assert found is not None
    (edit,) = found
    assert (edit.range.start, edit.range.end) == (lsp.Position(4, 0), lsp.Position(5, 0))
    assert edit.new_text == "    pump.Stop();\n"


async def test_a_text_with_errors_is_not_formatted(editor: Editor) -> None:
    editor.open("main.st", MAIN.replace("END_VAR", "END_VA"))
    found = await editor.client.text_document_formatting_async(
        lsp.DocumentFormattingParams(editor.document("main.st"), lsp.FormattingOptions(4, insert_spaces=True))
    )
    assert not found


# ── staying alive ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_half_typed_text_and_garbage_never_kill_it(editor: Editor) -> None:
    """Every cut of a text, then texts that are none: each is checked and asked about, and none fails a check."""
    editor.open("pump.st", PUMP)
    garbage = [
        "",
        "\0",
        "((((" * 200,
        "a.b." * 500,
        "IF " * 300,
        "'",
        "{",
        "(*",
        "\u2028\x0c😀é",
        "x" * 10_000,
        "]^).",
    ]
    texts = [PUMP[:cut] for cut in range(0, len(PUMP), 23)] + garbage
    for version, text in enumerate(texts, 2):
        editor.type("pump.st", text, version)
        lines = text.split("\n")
        end = lsp.Position(len(lines) - 1, len(lines[-1].encode("utf-16-le")) // 2)
        for asked in (editor.completion, editor.signature, editor.hover):
            await _ask(asked, end)
        await editor.client.text_document_document_symbol_async(
            lsp.DocumentSymbolParams(editor.document("pump.st"))
        )
    editor.type("pump.st", PUMP, len(texts) + 2)
    assert "speed : REAL" in await editor.hover("pump.st", editor.position("pump.st", "speed", nth=1))
    assert [one.message for one in editor.client.log_messages if "failed" in one.message] == []


async def _ask(asked: Callable[[str, lsp.Position], Awaitable[object]], place: lsp.Position) -> None:
    await asked("pump.st", place)


async def test_it_ends_when_the_editor_goes_away(tmp_path: Path) -> None:
    command = (str(Path(sys.executable).with_name("tieline")), "plc", "lsp")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 30)


async def test_two_thousand_lines_are_hovered_at_once(tmp_path: Path) -> None:
    blocks = [PUMP.split("END_TYPE\n")[0] + "END_TYPE\n"]
    body = PUMP.split("END_TYPE\n")[1]
    blocks.extend(body.replace("FUNCTION_BLOCK Pump", f"FUNCTION_BLOCK Pump{number}") for number in range(70))
    text = "".join(blocks)
    assert text.count("\n") >= 2_000
    async with served(tmp_path) as editor:
        editor.open("large.st", text)
        await editor.hover("large.st", lsp.Position(0, 0))  # waits for the check
        took_s: list[float] = []
        for nth in range(20):
            place = editor.position("large.st", "demand >", nth=3 * nth)
            begun = time.perf_counter()
            assert "demand : REAL" in await editor.hover("large.st", place)
            took_s.append(time.perf_counter() - begun)
        assert sorted(took_s)[len(took_s) // 2] < 0.2
