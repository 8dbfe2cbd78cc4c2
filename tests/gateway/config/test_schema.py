"""The JSON Schema says what the parser says, as far as a schema can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.config.document import ListNode, MappingNode, Node, read_document, read_source
from gateway.config.fault import FaultLog
from gateway.config.schema import schema_text, site_schema
from gateway.config.site import HistorianSettings, HmiSettings, OpcUaSettings, SimulatorSettings
from gateway.config.site_keys.historian import HISTORIAN
from gateway.config.site_keys.root import ROOT
from gateway.config.site_keys.servers.section import HMI, OPCUA
from gateway.config.site_keys.simulator import SIMULATOR

REPOSITORY = Path(__file__).parents[3]
BROKEN = Path(__file__).parent / "broken"
GOOD = sorted(
    [
        *(REPOSITORY / "gateway" / "config" / "starter").glob("*.yaml"),
        *(REPOSITORY / "config" / "sites").rglob("*.yaml"),
        *(REPOSITORY / "config" / "devices").rglob("*.yaml"),
    ]
)
# Faults that an editor can show, since they lie in one place and need no other.
SEEN_BY_AN_EDITOR = [
    "bad_unit_unknown", "bit_of_a_number", "deadband_negative", "empty_host", "empty_section", "empty_value",
    "host_that_is_a_number", "include_not_a_list", "logic_input_malformed_path", "logic_input_malformed_tag",
    "logic_input_without_variable", "logic_output_refresh_out_of_range", "logic_output_without_safe",
    "logic_priority_out_of_range", "logic_programs_not_a_list", "logic_setpoint_kind_unknown",
    "logic_setpoint_rate_zero", "logic_setpoint_role_unknown", "logic_start_unknown", "logic_tag_string",
    "logic_tag_without_area", "logic_tag_without_dot", "logic_task_malformed", "logic_unknown_key",
    "logic_watchdog_out_of_range", "logic_without_programs", "missing_key", "name_with_capitals",
    "neither_template_nor_body",
    "no_mapping", "parameter_type_unknown", "port_out_of_range", "range_of_three", "repeat_malformed", "scale_zero",
    "security_policy_unknown", "site_name_with_a_slash", "states_that_are_no_integers", "template_and_body",
    "unknown_key_far", "unknown_key_near", "unknown_section", "user_role_unknown",
    "with_without_template",
    "write_role_unknown", "wrong_type_integer_for_text", "wrong_type_list_for_mapping",
    "wrong_type_mapping_for_scalar",
    "wrong_type_number_for_integer", "wrong_type_scalar_for_section", "wrong_type_text_for_integer",
]  # fmt: skip


def as_json(node: Node) -> Any:
    """The tree as an editor's YAML server sees it: keys are text."""
    if isinstance(node, MappingNode):
        return {key.text: as_json(value) for key, value in node.entries}
    if isinstance(node, ListNode):
        return [as_json(item) for item in node.items]
    return node.value


def tree_of(path: Path) -> Any:
    faults = FaultLog()
    source = read_source(path, path.read_bytes(), faults)
    assert source is not None
    node = read_document(source, faults)
    assert node is not None
    assert not len(faults)
    return as_json(node)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = site_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_good_files_fit_the_schema(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(tree_of(path))] == []


@pytest.mark.parametrize("name", SEEN_BY_AN_EDITOR)
def test_broken_files_do_not(name: str, validator: jsonschema.Draft202012Validator) -> None:
    assert not validator.is_valid(tree_of(BROKEN / f"{name}.yaml"))


def test_schema_in_the_repository_is_current() -> None:
    kept = REPOSITORY / "config" / "schemas" / "site.schema.json"
    assert kept.read_text(encoding="utf-8") == schema_text(), (
        "run: tieline schema > config/schemas/site.schema.json"
    )


def test_every_key_of_the_table_is_described_in_the_schema() -> None:
    schema = site_schema()

    def descriptions(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, item in value.items():
                if name == "properties":
                    yield from (inner["description"] for inner in item.values() if isinstance(inner, dict))
                yield from descriptions(item)

    assert {key.doc for key in ROOT.keys} <= set(descriptions(schema))


ELSEWHERE = {"forward"}  # a list of values of their own: Site.forward


@pytest.mark.parametrize(
    ("section", "type"),
    [
        (HISTORIAN, HistorianSettings),
        (OPCUA, OpcUaSettings),
        (HMI, HmiSettings),
        (SIMULATOR, SimulatorSettings),
    ],
)
def test_sections_have_the_fields_and_defaults_of_their_values(section: Any, type: Any) -> None:
    keys = [key for key in section.keys if key.name not in ELSEWHERE]
    assert {key.name for key in keys} == set(type.__dataclass_fields__)
    defaults = type()
    assert {key.name: key.default for key in keys} == {key.name: getattr(defaults, key.name) for key in keys}
