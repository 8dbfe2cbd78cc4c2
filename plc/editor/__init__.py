"""Structured Text in an editor: ``tieline plc lsp`` speaks the Language Server Protocol over stdin and stdout."""
