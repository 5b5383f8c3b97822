"""The names of array types, as annotations have them."""

from types import GenericAlias
from typing import Any

from numpy import dtype, ndarray


class NDArray:
    """An array of one type of elements, of any shape."""

    def __class_getitem__(cls, of: Any) -> Any:
        return GenericAlias(ndarray, (tuple[Any, ...], dtype[of]))
