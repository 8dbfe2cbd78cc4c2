"""First step: may this user write this tag? The answer is no unless the site says yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.config.site import Role, Tag, User, WriteLimits
from gateway.tags.command import Command, Refusal, Refused

_RANK = {role: rank for rank, role in enumerate(Role)}  # each role may do all that the ones before it may


def authorise(
    command: Command, users: Mapping[str, User], tags: Mapping[str, Tag], area_of: Callable[[Tag], str]
) -> WriteLimits | Refused:
    """The limits of the tag where ``command.user`` may write it.

    Role and areas are looked up in the site here, whatever the door the command came through believed.
    """
    user = users.get(command.user)
    if user is None:
        return Refused(Refusal.NOT_AUTHORISED, f"{command.user!r} is not a user of this site")
    tag = tags.get(command.tag)
    if tag is None:
        return Refused(Refusal.UNKNOWN_TAG, f"there is no tag {command.tag!r}")
    if tag.write is None:
        return Refused(Refusal.NOT_WRITABLE, f"{tag.name} is not writable")
    if _RANK[user.role] < _RANK[tag.write.role]:
        return Refused(
            Refusal.NOT_AUTHORISED,
            f"{tag.name} takes the role {tag.write.role.value}; {command.user} has {user.role.value}",
        )
    area = area_of(tag)
    if user.areas and not any(area == own or area.startswith(f"{own}/") for own in user.areas):
        return Refused(
            Refusal.NOT_AUTHORISED,
            f"{tag.name} is in the area {area}; {command.user} has {', '.join(user.areas)}",
        )
    return tag.write
