"""The subcommands of ``tieline plc``, a file each; plc/cli.py puts them together."""
