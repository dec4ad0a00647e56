"""Reads a YAML document and remembers where in the text everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import yaml

__all__ = ["Position", "Source", "YamlProblemError", "read_yaml"]

DocumentPath = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


class YamlProblemError(Exception):
    """What keeps a text from being read, and where it stands."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


class Source:
    """A document and where its parts stand.

    :param value: the document: dicts, lists and scalars.
    """

    def __init__(self, value: Any, node: yaml.Node | None) -> None:
        self.value = value
        self._node = node

    def locate(self, path: DocumentPath, *, key: bool = False) -> Position:
        """Return where the value at a path stands (its key, if asked), or as much of the path as there is."""
        node = self._node
        position = Position(1, 1) if node is None else _position(node.start_mark)
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key_node, node = found
            position = _position((key_node if key else node).start_mark)
        return position


def read_yaml(text: str | bytes) -> Source:
    """Read one YAML document.

    :raises YamlProblemError: where it is none, or a mapping has a key twice.
    """
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = loader_class(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _refuse_duplicates(node)
            return Source(None if node is None else loader.construct_document(node), node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(1, 1) if mark is None else _position(mark)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlProblemError(f"not YAML: {message}", position) from None
    except yaml.YAMLError as error:
        raise YamlProblemError(f"not YAML: {str(error).splitlines()[0]}", Position(1, 1)) from None
    except (
        RecursionError,
        UnicodeDecodeError,
        ValueError,
    ) as error:  # such as 2024-13-45, which looks like a date
        raise YamlProblemError(f"not YAML: {error}", Position(1, 1)) from None


def _refuse_duplicates(top: yaml.Node) -> None:
    import yaml

    stack: list[yaml.Node] = [top]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: dict[tuple[str, str], Position] = {}
            for key, value in node.value:
                stack.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                name = (key.tag, key.value)
                position = _position(key.start_mark)
                if name in keys:
                    raise YamlProblemError(
                        f"the key {key.value!r} is there already, at line {keys[name].line}: take one of them out",
                        position,
                    )
                keys[name] = position


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    import yaml

    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(part):
                return key, value
    return None


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)
