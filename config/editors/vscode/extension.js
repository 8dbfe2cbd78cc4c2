// Starts `tieline plc lsp` for Structured Text; all else is the server's.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
    const [command, ...args] = workspace.getConfiguration("tieline").get("command");
    client = new LanguageClient("tieline", "Tieline Structured Text", { command, args }, {
        documentSelector: [{ language: "iecst" }],
    });
    return client.start();
}

function deactivate() {
    return client?.stop();
}

module.exports = { activate, deactivate };
