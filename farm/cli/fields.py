"""What the options of a command make, as the farm takes it: a refusal names the field in one line."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from farm.errors import BadInput

_Shape = TypeVar("_Shape", bound=BaseModel)


def shaped(shape: type[_Shape], said: dict[str, Any]) -> _Shape:
    """Raises BadInput."""
    try:
        return shape.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        raise BadInput(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
