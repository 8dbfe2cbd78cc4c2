"""What people note about a tag at a time. No note and no earlier version of one is ever lost."""

from historian.annotations.store import Annotation, Annotations

__all__ = ["Annotation", "Annotations"]
