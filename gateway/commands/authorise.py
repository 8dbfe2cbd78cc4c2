"""First step: may this user write this tag? The answer is no unless the site says yes."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.site import Role, Tag, WriteLimits
from gateway.tags.command import Command, Refusal, Refused

_RANK = {role: rank for rank, role in enumerate(Role)}  # each role may do all that the ones before it may


def authorise(command: Command, users: Mapping[str, Role], tags: Mapping[str, Tag]) -> WriteLimits | Refused:
    """The limits of the tag where ``command.user`` may write it.

    The role is looked up in the site here, whatever the door the command came through believed.
    """
    role = users.get(command.user)
    if role is None:
        return Refused(Refusal.NOT_AUTHORISED, f"{command.user!r} is not a user of this site")
    tag = tags.get(command.tag)
    if tag is None:
        return Refused(Refusal.UNKNOWN_TAG, f"there is no tag {command.tag!r}")
    if tag.write is None:
        return Refused(Refusal.NOT_WRITABLE, f"{tag.name} is not writable")
    if _RANK[role] < _RANK[tag.write.role]:
        return Refused(
            Refusal.NOT_AUTHORISED,
            f"{tag.name} takes the role {tag.write.role.value}; {command.user} has {role.value}",
        )
    return tag.write
