"""YAML files that people write: read into a model, or refused with the place and what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from group.errors import InputError

_MOST_BYTES: Final = 1 << 20
_TOLD: Final = 5

Written = TypeVar("Written", bound=BaseModel)


def read_text(path: Path, refuse: Callable[[str], InputError], where_to_begin: str) -> str:
    """The text of a file that is no larger than a person would write.

    Args:
        path: the file.
        refuse: makes the error to raise of its sentence.
        where_to_begin: said where there is no such file.

    Raises:
        InputError: as ``refuse`` makes it; it cannot be read, or is larger than 1 MB.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise refuse(f"{path} is larger than {_MOST_BYTES >> 20} MB; nobody writes that much.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise refuse(f"There is no {path}; {where_to_begin}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise refuse(f"{path} cannot be read: {error}.") from None


def parsed(text: str, where: str, kind: type[Written], refuse: Callable[[str], InputError]) -> Written:
    """What a text says, as ``kind``; ``where`` names it in errors.

    Raises:
        InputError: as ``refuse`` makes it; the text is no YAML or not of that kind.
    """
    try:
        return kind.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise refuse(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()[:_TOLD]
        )
        raise refuse(f"{where}: {'; '.join(faults)}.") from None
