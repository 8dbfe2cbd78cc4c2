"""The language server: takes the editor's messages, keeps each folder's program up to date, answers from features.

A change is checked a moment after the last keystroke, in a thread, one check of a folder at a time. What needs exact
places (hover, definition, …) waits for the check of what is on the screen; what is asked for while typing
(completion, signatures) takes the newest check there is. A check that fails is logged and the one before it stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from plc.editor import features
from plc.editor.features import View
from plc.editor.positions import Text
from plc.editor.project import SUFFIX, Folder
from plc.language.analysis import analyse
from plc.language.source import Source

QUIET_S = 0.2  # without a keystroke before a text is checked: shorter checks words that are being typed

_Answer = TypeVar("_Answer")


class Project:
    """A folder, or a lone file, with the newest check of it."""

    def __init__(self, server: Server, folder: Folder | None) -> None:
        self.server = server
        self.folder = folder
        self.view: View | None = None
        self._changes = 0
        self._checked = 0
        self._timer: asyncio.TimerHandle | None = None
        self._check: asyncio.Task[None] | None = None
        self._shown: set[str] = set()  # files for which the editor shows problems

    def changed(self, *, quiet_s: float = QUIET_S) -> None:
        """Something is not what the last check saw."""
        self._changes += 1
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(quiet_s, self._start)

    async def settled(self) -> View | None:
        """The check of what is on the screen."""
        if self._checked != self._changes:
            self._start()
        if self._check is not None:
            await asyncio.wait([self._check])
        return self.view

    def close(self) -> None:
        """The folder is no longer the editor's: nothing is shown for it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._check is not None:
            self._check.cancel()
        for path in self._shown:
            self.server.publish(path, [])

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._run())
            self._check.add_done_callback(self.server.log_failure)

    async def _run(self) -> None:
        while self._checked != self._changes:
            self._checked = (
                self._changes
            )  # before the check: one that fails is not tried again without a change
            opened = self.server.opened_in(self)
            self.view = await asyncio.to_thread(
                _check, self.folder, opened, self.server.encoding, self.server.uri_of
            )
            self._publish(self.view)

    def _publish(self, seen: View) -> None:
        found = features.problems(seen)
        for path, problems in sorted(found.items()):
            if problems or path in self._shown:
                self.server.publish(path, problems)
        for path in self._shown - found.keys():
            self.server.publish(path, [])
        self._shown = {path for path, problems in found.items() if problems}


class Server(LanguageServer):
    """Structured Text over the Language Server Protocol."""

    def __init__(self) -> None:
        # Whole texts: pygls splits lines also where the protocol does not, as at a form feed, and so would misplace
        # partial changes in old sources.
        super().__init__("tieline", version("tieline"), text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
        self.projects: dict[str, Project] = {}

    @property
    def encoding(self) -> str:
        """What columns count."""
        return str(getattr(self.workspace.position_encoding, "value", self.workspace.position_encoding))

    def path_of(self, uri: str) -> str:
        """The file of a URI; what is no file goes by its URI."""
        return (to_fs_path(uri) if uri.startswith("file:") else None) or uri

    def uri_of(self, path: str) -> str:
        """The editor's own spelling of a URI where a file is open."""
        opened: list[str] = list(self.workspace.text_documents)
        for uri in opened:
            if self.path_of(uri) == path:
                return uri
        return path if ":" in path.split("/")[0] else str(from_fs_path(path) or path)

    def text(self, uri: str) -> Text:
        """What is on the screen."""
        return Text(self.workspace.get_text_document(uri).source, self.encoding)

    def project_of(self, uri: str) -> Project:
        """The innermost folder of the workspace around a file, else the file alone."""
        path = self.path_of(uri)
        folders = [
            folder
            for one in self.workspace.folders.values()
            if (folder := self.path_of(one.uri)) in (path, *map(str, Path(path).parents))
        ]
        key = max(folders, key=len, default=path)
        if key not in self.projects:
            self.projects[key] = Project(self, Folder(Path(key)) if folders else None)
        return self.projects[key]

    def opened_in(self, project: Project) -> dict[str, str]:
        """The texts on the screen that belong to a project, by path."""
        return {
            self.path_of(uri): document.source
            for uri, document in list(self.workspace.text_documents.items())
            if self.project_of(uri) is project
        }

    def publish(self, path: str, problems: list[lsp.Diagnostic]) -> None:
        """Show what is wrong with a file."""
        uri = self.uri_of(path)
        document = self.workspace.text_documents.get(uri)
        number = document.version if document is not None else None
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, problems, version=number))

    def log_failure(self, task: asyncio.Task[None]) -> None:
        """A check that ended otherwise than with a program is a defect of ours: say so and go on."""
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            text = f"the check failed: {type(failure).__name__}: {failure}"
            self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Error, text))

    async def asked(
        self, uri: str, answer: Callable[[View, str], _Answer], *, exactly: bool = True
    ) -> _Answer | None:
        """An answer from the newest check; ``exactly`` waits for the check of what is on the screen."""
        project = self.project_of(uri)
        seen = await project.settled() if exactly or project.view is None else project.view
        path = self.path_of(uri)
        if seen is not None and path not in seen.texts and not exactly:
            seen = await project.settled()
        return answer(seen, path) if seen is not None and path in seen.texts else None


def _check(
    folder: Folder | None, opened: Mapping[str, str], encoding: str, uri_of: Callable[[str], str]
) -> View:
    sources = folder.sources(opened) if folder else [Source(path, text) for path, text in opened.items()]
    return features.view(analyse(sources), encoding, uri_of)


def make_server() -> Server:
    """A server with everything that it can do."""
    server = Server()

    @server.feature(lsp.INITIALIZED)
    def initialized(_: lsp.InitializedParams) -> None:
        for one in server.workspace.folders.values():
            server.project_of(one.uri).changed(quiet_s=0)
        workspace = server.client_capabilities.workspace
        watching = workspace.did_change_watched_files if workspace is not None else None
        if watching is not None and watching.dynamic_registration:
            options = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher(f"**/*{SUFFIX}")])
            watch = lsp.Registration("files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            server.client_register_capability(lsp.RegistrationParams([watch]))

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.project_of(params.text_document.uri).changed(quiet_s=0)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.project_of(params.text_document.uri).changed()

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        server.project_of(params.text_document.uri).changed()

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.project_of(params.text_document.uri).changed()

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def files_changed(params: lsp.DidChangeWatchedFilesParams) -> None:
        for project in {
            id(one): one for one in (server.project_of(each.uri) for each in params.changes)
        }.values():
            project.changed()

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders_changed(params: lsp.DidChangeWorkspaceFoldersParams) -> None:
        for one in params.event.added:
            server.project_of(one.uri).changed()
        for one in params.event.removed:
            gone = server.projects.pop(server.path_of(one.uri), None)
            if gone is not None:
                gone.close()
        for uri in list(server.workspace.text_documents):
            server.project_of(uri).changed()

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        return await server.asked(
            params.text_document.uri, lambda seen, path: features.hover(seen, path, params.position)
        )

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        return await server.asked(
            params.text_document.uri, lambda seen, path: features.definition(seen, path, params.position)
        )

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    async def references(params: lsp.ReferenceParams) -> list[lsp.Location] | None:
        return await server.asked(
            params.text_document.uri,
            lambda seen, path: features.references(
                seen, path, params.position, with_declaration=params.context.include_declaration
            ),
        )

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def document_symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol] | None:
        return await server.asked(params.text_document.uri, features.document_symbols)

    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    )
    async def code_action(params: lsp.CodeActionParams) -> list[lsp.CodeAction] | None:
        return await server.asked(
            params.text_document.uri, lambda seen, path: features.code_actions(seen, path, params.range)
        )

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=[".", "#", "("]))
    async def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem] | None:
        uri = params.text_document.uri
        return await server.asked(
            uri,
            lambda seen, path: features.completion(seen, path, server.text(uri), params.position),
            exactly=False,
        )

    @server.feature(lsp.TEXT_DOCUMENT_SIGNATURE_HELP, lsp.SignatureHelpOptions(trigger_characters=["(", ","]))
    async def signature_help(params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
        uri = params.text_document.uri
        return await server.asked(
            uri,
            lambda seen, path: features.signature_help(seen, path, server.text(uri), params.position),
            exactly=False,
        )

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        uri = params.text_document.uri
        edits = features.formatting(server.path_of(uri), server.text(uri))
        if edits is None:
            text = "not formatted: the text has errors"
            server.window_log_message(lsp.LogMessageParams(lsp.MessageType.Info, text))
        return edits

    return server
