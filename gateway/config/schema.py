"""The site file as JSON Schema 2020-12, for editors; made from the same table of keys that the parser uses."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.config.kinds import REQUIRED, Schema
from gateway.config.site_keys.devices.section import BODY, DEVICE
from gateway.config.site_keys.root import ROOT

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OF_A_SECTION = ("title", "type", "properties", "required", "additionalProperties", "if", "then", "else")


def site_schema() -> Schema:
    """The schema of one file of a site; each of its sections is defined once under ``$defs``."""
    definitions: Schema = {}
    root = ROOT.schema(expressions=False)
    properties = {name: _hoisted(schema, definitions) for name, schema in root["properties"].items()}
    return {
        "$schema": DIALECT,
        "title": "Tieline site file",
        "description": "A site, or a part of one that another file includes.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def schema_text() -> str:
    """The schema as it is printed and kept in config/schemas/site.schema.json."""
    return orjson.dumps(site_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


def _hoisted(schema: Any, definitions: Schema) -> Any:
    """``schema`` with every titled section replaced by a reference into ``definitions``."""
    if isinstance(schema, list):
        return [_hoisted(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _hoisted(value, definitions) for key, value in schema.items()}
    if inner.get("type") != "object" or not isinstance(inner.get("title"), str):
        return inner
    if inner["title"] == DEVICE.title:
        inner |= _with_template_or_body()
    name = (
        inner["title"].removeprefix("a ").removeprefix("an ").removeprefix("the ").replace(" ", "_").lower()
    )
    section = {key: inner[key] for key in _OF_A_SECTION if key in inner}
    assert definitions.setdefault(name, section) == section, name
    return {"$ref": f"#/$defs/{name}"} | {k: v for k, v in inner.items() if k not in section}


def _with_template_or_body() -> Schema:
    """A device has a template, or says itself what a template would."""
    return {
        "if": {"required": ["template"]},
        "then": {"properties": {key.name: False for key in BODY}},
        "else": {
            "required": [key.name for key in BODY if key.default is REQUIRED],
            "properties": {"with": False},
        },
    }
