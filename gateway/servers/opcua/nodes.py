"""The site's tags as nodes, made when a client asks for them: an address space that costs nothing to build.

::

    Objects
      storage                    ns=2;s=/storage                            an area, and areas in areas
        battery1                 ns=2;s=/storage/battery1                   a device
          power_kw               ns=2;s=battery1.power_kw                   a tag
            EURange              ns=2;s=battery1.power_kw/EURange           what the site file says of it
            HA Configuration     see `ha_configuration`                     of a tag that has a history

No tag's name holds a slash, so none is mistaken for a folder or a property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace, NodeData
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.config.site import Role, Site, Tag
from gateway.config.units import NO_UNIT_ID, UNECE_NAMESPACE, UNITS
from gateway.servers.opcua import ha_configuration
from gateway.servers.opcua.values import DATA_TYPES, VARIANT_TYPES, status, to_datetime
from gateway.tags.tag import ValueType

NAMESPACE = 2  # 0 is the standard's, 1 the server's own (OPC 10000-3, 8.2.2)
ENUM_STRINGS = 256  # states 0..255 are an array with gaps; others are pairs of value and name

_READ, _WRITE, _HISTORY = 1, 2, 4  # AccessLevel (OPC 10000-3, 8.57)
_SCALAR = -1
_SAMPLED_BY_SOURCE = -1.0  # MinimumSamplingInterval: the device's poll group decides it

_ids = ObjectIds
_A = AttributeIds
_T = ua.VariantType


def _standard(identifier: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(identifier))


def _own(identifier: str) -> ua.NodeId:
    return ua.NodeId(ua.String(identifier), ua.Int16(NAMESPACE))


_ORGANIZES = _standard(_ids.Organizes)
_HAS_COMPONENT = _standard(_ids.HasComponent)
_HAS_PROPERTY = _standard(_ids.HasProperty)
_HAS_CONFIGURATION = _standard(_ids.HasHistoricalConfiguration)
_HAS_TYPE = _standard(_ids.HasTypeDefinition)
_FOLDER_TYPE = _standard(_ids.FolderType)
_OBJECT_TYPE = _standard(_ids.BaseObjectType)
_PROPERTY_TYPE = _standard(_ids.PropertyType)

_RANK = {role: rank for rank, role in enumerate(Role)}


def may_write(tag: Tag, role: Role) -> bool:
    """Whether a user of this role may command this tag."""
    return tag.write is not None and _RANK[role] >= _RANK[tag.write.role]


@dataclass(slots=True)
class Folder:
    """An area (``tags`` empty) or a device; ``parent`` is a folder's identifier, None below Objects."""

    name: str
    parent: str | None
    description: str = ""
    is_device: bool = False
    folders: list[str] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Property:
    """A property's data type and value."""

    data_type: ua.NodeId
    value: ua.Variant


class SiteNode(NodeData):
    """A node that is made when it is looked at: its references here, its attributes by `SiteSpace`."""


class SiteSpace(AddressSpace):
    """The standard's nodes as the library keeps them, and the site's."""

    def __init__(self, site: Site, read: Callable[[int], ua.DataValue], since_ns: int) -> None:
        """``read`` gives a tag's present value; ``since_ns`` is when the properties became known."""
        super().__init__()
        self._read = read
        self._unseen = 0
        self._take(site, since_ns)

    def follow(self, site: Site, since_ns: int) -> None:
        """Show another site from now on."""
        objects = super().__getitem__(_standard(_ids.ObjectsFolder))
        objects.references[:] = [
            each for each in objects.references if each.NodeId.NamespaceIndex != NAMESPACE
        ]
        self._take(site, since_ns)
        self.attach()

    def _take(self, site: Site, since_ns: int) -> None:
        self.tags = site.tags
        self._since = to_datetime(since_ns)
        self._places = {tag.name: place for place, tag in enumerate(site.tags) if tag.name}
        self._folders = _folders(site)

    def attach(self) -> None:
        """Hang the site below Objects, once the standard's nodes are there."""
        objects = super().__getitem__(_standard(_ids.ObjectsFolder))
        for identifier, folder in self._folders.items():
            if folder.parent is None:
                objects.references.append(self.reference(_ORGANIZES, True, _own(identifier)))

    def tag_of(self, node: ua.NodeId) -> int | None:
        """The place of a tag's node in the site's tags; None for every other node."""
        if node.NamespaceIndex != NAMESPACE or not isinstance(node.Identifier, str):
            return None
        return self._places.get(node.Identifier)

    # What the library asks of an address space.

    def __getitem__(self, nodeid: ua.NodeId) -> NodeData:
        node = self.get(nodeid)
        if node is None:
            raise KeyError(nodeid)
        return node

    def get(self, nodeid: ua.NodeId) -> NodeData | None:
        if nodeid.NamespaceIndex != NAMESPACE:
            return super().get(nodeid)
        references = self._references(nodeid)
        if references is None:
            return None
        node = SiteNode(nodeid)
        node.references = references
        return node

    def __contains__(self, nodeid: object) -> bool:
        assert isinstance(nodeid, ua.NodeId)
        if nodeid.NamespaceIndex != NAMESPACE:
            return bool(super().__contains__(nodeid))
        return self._node_class(nodeid) is not None

    def read_attribute_value(self, nodeid: ua.NodeId, attr: AttributeIds) -> ua.DataValue:
        if nodeid.NamespaceIndex != NAMESPACE:
            return super().read_attribute_value(nodeid, attr)
        if self._node_class(nodeid) is None:
            return ua.DataValue(StatusCode=status(StatusCodes.BadNodeIdUnknown))
        tag = self.tag_of(nodeid)
        if tag is not None and attr == _A.Value:
            return self._read(tag)
        variant = self._attributes(nodeid).get(attr)
        if variant is None:
            return ua.DataValue(StatusCode=status(StatusCodes.BadAttributeIdInvalid))
        if attr != _A.Value:
            return ua.DataValue(variant)
        return ua.DataValue(variant, SourceTimestamp=self._since, ServerTimestamp=self._since)

    def add_datachange_callback(
        self, nodeid: ua.NodeId, attr: AttributeIds, callback: Callable[..., Any]
    ) -> tuple[ua.StatusCode, int]:
        """Watch an attribute. Those of the site's nodes never change, but for the values that `Feed` tells."""
        if nodeid.NamespaceIndex != NAMESPACE:
            return super().add_datachange_callback(nodeid, attr, callback)
        found = self.read_attribute_value(nodeid, attr).StatusCode
        if found is not None and found.value in (
            StatusCodes.BadNodeIdUnknown,
            StatusCodes.BadAttributeIdInvalid,
        ):
            return found, 0
        self._unseen -= 1  # a handle that the library's own, which count upwards, never meets
        return ua.StatusCode(), self._unseen

    # What the nodes are.

    def _node_class(self, node: ua.NodeId) -> ua.NodeClass | None:
        identifier = node.Identifier
        if not isinstance(identifier, str):
            return None
        if identifier in self._places:
            return ua.NodeClass.Variable
        if identifier in self._folders or self._configuration(identifier) is not None:
            return ua.NodeClass.Object
        return ua.NodeClass.Variable if self._property(identifier) is not None else None

    def _property(self, identifier: str) -> Property | None:
        tag, _, path = identifier.partition("/")
        place = self._places.get(tag)
        if place is None:
            return None
        found = properties_of(self.tags[place]).get(path)
        if found is not None or not self.tags[place].history:
            return found
        value = ha_configuration.properties_below(self.tags[place]).get(path)
        return None if value is None else Property(_standard(value.VariantType.value), value)

    def _configuration(self, identifier: str) -> tuple[Tag, str] | None:
        """The tag and the path of an object below it; None for every other node."""
        tag, _, path = identifier.partition("/")
        place = self._places.get(tag)
        if place is None or path not in ha_configuration.OBJECTS or not self.tags[place].history:
            return None
        return self.tags[place], path

    def _name(self, node: ua.NodeId) -> ua.QualifiedName:
        identifier = str(node.Identifier)
        if identifier in self._places:
            tag = self.tags[self._places[identifier]]
            return ua.QualifiedName(_point_of(tag), ua.UInt16(NAMESPACE))
        if identifier in self._folders:
            return ua.QualifiedName(self._folders[identifier].name, ua.UInt16(NAMESPACE))
        return ua.QualifiedName(identifier.rpartition("/")[2], ua.UInt16(0))  # the standard's properties

    def _attributes(self, node: ua.NodeId) -> Mapping[AttributeIds, ua.Variant]:
        """All attributes but the value of a tag (OPC 10000-3, 5.5 and 5.6)."""
        identifier = str(node.Identifier)
        name = self._name(node)
        result = {
            _A.NodeId: ua.Variant(node, _T.NodeId),
            _A.NodeClass: ua.Variant(self._node_class(node), _T.Int32),
            _A.BrowseName: ua.Variant(name, _T.QualifiedName),
            _A.DisplayName: ua.Variant(ua.LocalizedText(name.Name), _T.LocalizedText),
            _A.WriteMask: ua.Variant(0, _T.UInt32),
            _A.UserWriteMask: ua.Variant(0, _T.UInt32),
        }
        if identifier in self._folders:
            folder = self._folders[identifier]
            result[_A.Description] = ua.Variant(ua.LocalizedText(folder.description), _T.LocalizedText)
            result[_A.EventNotifier] = ua.Variant(0, _T.Byte)
            return result
        if self._configuration(identifier) is not None:
            result[_A.EventNotifier] = ua.Variant(0, _T.Byte)
            return result
        result[_A.ValueRank] = ua.Variant(_SCALAR, _T.Int32)
        if identifier in self._places:
            tag = self.tags[self._places[identifier]]
            access = _READ | (_WRITE if tag.write else 0) | (_HISTORY if tag.history else 0)
            result |= {
                _A.Description: ua.Variant(ua.LocalizedText(tag.description), _T.LocalizedText),
                _A.DataType: ua.Variant(DATA_TYPES[tag.type], _T.NodeId),
                _A.AccessLevel: ua.Variant(access, _T.Byte),
                _A.UserAccessLevel: ua.Variant(access, _T.Byte),
                _A.MinimumSamplingInterval: ua.Variant(_SAMPLED_BY_SOURCE, _T.Double),
                _A.Historizing: ua.Variant(tag.history, _T.Boolean),
            }
            return result
        property = self._property(identifier)
        assert property is not None, identifier
        if property.value.is_array:
            result[_A.ValueRank] = ua.Variant(1, _T.Int32)
            result[_A.ArrayDimensions] = ua.Variant([0], _T.UInt32)
        result |= {
            _A.Value: property.value,
            _A.DataType: ua.Variant(property.data_type, _T.NodeId),
            _A.AccessLevel: ua.Variant(_READ, _T.Byte),
            _A.UserAccessLevel: ua.Variant(_READ, _T.Byte),
            _A.Historizing: ua.Variant(False, _T.Boolean),
        }
        return result

    def user_access_level(self, tag: int, role: Role) -> int:
        """UserAccessLevel: what the node allows, less what this user may not (OPC 10000-3, 5.6.2)."""
        found = self.tags[tag]
        return _READ | (_WRITE if may_write(found, role) else 0) | (_HISTORY if found.history else 0)

    # How the nodes hang together.

    def _references(self, node: ua.NodeId) -> list[ua.ReferenceDescription] | None:
        identifier = node.Identifier
        if not isinstance(identifier, str):
            return None
        if identifier in self._folders:
            return list(self._of_folder(self._folders[identifier]))
        if identifier in self._places:
            return list(self._of_tag(self.tags[self._places[identifier]]))
        configuration = self._configuration(identifier)
        if configuration is not None:
            return list(self._of_configuration(*configuration))
        if self._property(identifier) is None:
            return None
        return [
            self.reference(_HAS_TYPE, True, _PROPERTY_TYPE),
            self.reference(_HAS_PROPERTY, False, _own(identifier.rpartition("/")[0])),
        ]

    def _of_folder(self, folder: Folder) -> Iterator[ua.ReferenceDescription]:
        parent = _standard(_ids.ObjectsFolder) if folder.parent is None else _own(folder.parent)
        yield self.reference(_HAS_TYPE, True, _OBJECT_TYPE if folder.is_device else _FOLDER_TYPE)
        yield self.reference(_ORGANIZES, False, parent)
        for child in folder.folders:
            yield self.reference(_ORGANIZES, True, _own(child))
        for tag in folder.tags:
            yield self.reference(_HAS_COMPONENT, True, _own(self.tags[tag].name))

    def _of_tag(self, tag: Tag) -> Iterator[ua.ReferenceDescription]:
        yield self.reference(_HAS_TYPE, True, type_of(tag))
        yield self.reference(_HAS_COMPONENT, False, _own(_folder_of(tag)))
        for name in properties_of(tag):
            yield self.reference(_HAS_PROPERTY, True, _own(f"{tag.name}/{name}"))
        if tag.history:
            yield self.reference(_HAS_CONFIGURATION, True, _own(f"{tag.name}/{ha_configuration.TOP}"))

    def _of_configuration(self, tag: Tag, path: str) -> Iterator[ua.ReferenceDescription]:
        yield self.reference(_HAS_TYPE, True, _standard(ha_configuration.OBJECTS[path]))
        top, below = (
            _own(f"{tag.name}/{ha_configuration.TOP}"),
            _own(f"{tag.name}/{ha_configuration.AGGREGATES}"),
        )
        if path == ha_configuration.TOP:
            yield self.reference(_HAS_CONFIGURATION, False, _own(tag.name))
            yield self.reference(_HAS_COMPONENT, True, below)
        else:
            yield self.reference(_HAS_COMPONENT, False, top)
        for each in ha_configuration.properties_below(tag):
            if each.rpartition("/")[0] == path:
                yield self.reference(_HAS_PROPERTY, True, _own(f"{tag.name}/{each}"))

    def reference(self, kind: ua.NodeId, forward: bool, target: ua.NodeId) -> ua.ReferenceDescription:
        """A reference as Browse tells it: with the target's names, class and type."""
        result = ua.ReferenceDescription(ReferenceTypeId=kind, IsForward=forward, NodeId=target)
        if target.NamespaceIndex == NAMESPACE:
            node_class = self._node_class(target)
            assert node_class is not None, target
            result.NodeClass = node_class
            result.BrowseName = self._name(target)
            result.DisplayName = ua.LocalizedText(result.BrowseName.Name)
            result.TypeDefinition = self._type(str(target.Identifier))
            return result
        standard = super().get(target)
        assert standard is not None, f"{target} is not in the library's copy of the standard's nodes"
        result.NodeClass = ua.NodeClass(_known(standard, _A.NodeClass))
        result.BrowseName = _known(standard, _A.BrowseName)
        result.DisplayName = _known(standard, _A.DisplayName)
        return result

    def _type(self, identifier: str) -> ua.NodeId:
        if identifier in self._folders:
            return _OBJECT_TYPE if self._folders[identifier].is_device else _FOLDER_TYPE
        if identifier in self._places:
            return type_of(self.tags[self._places[identifier]])
        configuration = self._configuration(identifier)
        if configuration is not None:
            return _standard(ha_configuration.OBJECTS[configuration[1]])
        return _PROPERTY_TYPE


def _known(node: NodeData, attribute: AttributeIds) -> Any:
    """An attribute of one of the standard's nodes, which all have it."""
    found = node.attributes[attribute].value
    assert found is not None, (node, attribute)
    assert found.Value is not None, (node, attribute)
    return found.Value.Value


def type_of(tag: Tag) -> ua.NodeId:
    """The VariableType that promises just the properties the tag has (OPC 10000-8, 5.3)."""
    if tag.type is ValueType.BOOL and set(tag.states) == {0, 1}:
        return _standard(_ids.TwoStateDiscreteType)
    if _has_enum_strings(tag):
        return _standard(_ids.MultiStateDiscreteType)
    if tag.type in (ValueType.BOOL, ValueType.STRING):
        return _standard(_ids.BaseDataVariableType)
    if range_of(tag) is not None:
        return _standard(_ids.AnalogItemType)
    return _standard(_ids.AnalogUnitType if tag.unit is not None else _ids.BaseDataVariableType)


def range_of(tag: Tag) -> tuple[float, float] | None:
    """EURange: the instrument's range, or for a setpoint without one what may be written."""
    if tag.low is not None and tag.high is not None:
        return tag.low, tag.high
    if tag.write is not None and tag.write.low is not None and tag.write.high is not None:
        return tag.write.low, tag.write.high
    return None


def properties_of(tag: Tag) -> dict[str, Property]:
    """The properties of a tag's node by name (OPC 10000-8, 5.3)."""
    result: dict[str, Property] = {}
    if tag.type in (ValueType.INT64, ValueType.UINT64, ValueType.DOUBLE):
        limits = range_of(tag)
        if limits is not None:
            result["EURange"] = Property(
                _standard(_ids.Range),
                ua.Variant(ua.Range(ua.Double(limits[0]), ua.Double(limits[1])), _T.ExtensionObject),
            )
        if tag.unit is not None:
            result["EngineeringUnits"] = Property(
                _standard(_ids.EUInformation), ua.Variant(_unit(tag.unit), _T.ExtensionObject)
            )
        if tag.decimals is not None and tag.type is ValueType.DOUBLE:
            result["ValuePrecision"] = Property(
                _standard(_ids.Double), ua.Variant(float(tag.decimals), _T.Double)
            )
    text = _standard(_ids.LocalizedText)
    if tag.type is ValueType.BOOL and set(tag.states) == {0, 1}:
        result["FalseState"] = Property(text, ua.Variant(ua.LocalizedText(tag.states[0]), _T.LocalizedText))
        result["TrueState"] = Property(text, ua.Variant(ua.LocalizedText(tag.states[1]), _T.LocalizedText))
    elif _has_enum_strings(tag):
        names = [ua.LocalizedText(tag.states.get(value)) for value in range(max(tag.states) + 1)]
        result["EnumStrings"] = Property(text, ua.Variant(names, _T.LocalizedText))
    elif tag.states:
        pairs = [
            ua.EnumValueType(Value=ua.Int64(value), DisplayName=ua.LocalizedText(name))
            for value, name in sorted(tag.states.items())
        ]
        result["EnumValues"] = Property(_standard(_ids.EnumValueType), ua.Variant(pairs, _T.ExtensionObject))
    return result


def _has_enum_strings(tag: Tag) -> bool:
    return (
        bool(tag.states)
        and tag.type in (ValueType.INT64, ValueType.UINT64)
        and min(tag.states) >= 0
        and max(tag.states) < ENUM_STRINGS
    )


def _unit(symbol: str) -> ua.EUInformation:
    unit = UNITS.get(symbol)
    description = "" if unit is None else unit.description
    return ua.EUInformation(
        NamespaceUri=ua.String(UNECE_NAMESPACE),
        UnitId=ua.Int32(NO_UNIT_ID if unit is None else unit.unit_id),
        DisplayName=ua.LocalizedText(symbol),
        Description=ua.LocalizedText(description),
    )


def _folder_of(tag: Tag) -> str:
    return "/" + "/".join(part for part in (tag.area, tag.device) if part)


def _point_of(tag: Tag) -> str:
    """The last part of a browse path: ``battery1.power_kw`` of device battery1 is ``power_kw``."""
    _, found, point = tag.name.partition(f"{tag.device}.")
    return point if tag.device and found else tag.name


def _folders(site: Site) -> dict[str, Folder]:
    """All folders by identifier, those of areas that nobody described included; children in the site's order."""
    folders: dict[str, Folder] = {}

    def area(path: str) -> Folder:
        identifier = "/" + path
        if identifier not in folders:
            above, _, name = path.rpartition("/")
            if above:
                area(above).folders.append(identifier)
            folders[identifier] = Folder(name, "/" + above if above else None)
        return folders[identifier]

    for described in site.areas:
        area(described.path).description = described.description
    for place, tag in enumerate(site.tags):
        if not tag.name:
            continue
        identifier = _folder_of(tag)
        if identifier not in folders:
            parent = area(tag.area)
            parent.folders.append(identifier)
            folders[identifier] = Folder(tag.device, "/" + tag.area, is_device=True)
        folders[identifier].tags.append(place)
    return folders


assert set(VARIANT_TYPES) == set(ValueType)
