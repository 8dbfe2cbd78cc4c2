"""Values that the keys of many sections share: words and paths, hosts and ports, names of tags."""

from __future__ import annotations

from gateway.config.kinds import Anything, Integer, Text

DAY_MS = 86_400_000
WORD = r"[a-z][a-z0-9_]*"
WORD_GRAMMAR = "write lower-case letters, digits and '_', a letter first"
DESCRIPTION = Text("a line of text")
NAME = Text("lower-case letters, digits, '_' and '-', a letter first", r"[a-z][a-z0-9_-]*", 64)
HOST = Text("a host name or an address", r"[A-Za-z0-9_](?:[A-Za-z0-9_.:%-]*[A-Za-z0-9_])?|::1?", 253)
PORT = Integer(1, 65_535)
FILE = Text("the path of a file")
AREA_PATH = Text("an area of the site", rf"{WORD}(?:/{WORD})*", 128)
VALUE = Anything("a number, true or false")
TAG_NAME = r"[a-z_][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+"
TAG_GRAMMAR = "write the name of a tag, such as battery1.power_kw"
OWN_TAG_NAME = rf"{WORD}(?:\.{WORD})+"
OWN_TAG_GRAMMAR = f"{WORD_GRAMMAR}, and '.' between words: island.state"
LONGEST_TAG_NAME = 200  # with a companion's ending it stays below the image's 255 bytes
TAG = Text("the name of a tag", TAG_NAME, 255)
