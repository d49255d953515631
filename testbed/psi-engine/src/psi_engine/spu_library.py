"""SecretFlow's PSI library without the rest of the `spu` package.

`import spu` pulls in its compiler and with it jax, scipy and numpy: 500 MB that PSI does not use.
The two extension modules load on their own when the package around them is an empty one.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any


def load() -> tuple[Any, Any]:
    """Return the modules `spu.libspu` (links) and `spu.libpsi`.

    Raises:
        ImportError: spu is not installed, or a library that it is linked with (libgomp1) is missing.
    """
    if "spu" not in sys.modules:
        found = importlib.util.find_spec("spu")
        if found is None or found.submodule_search_locations is None:
            raise ImportError("the package spu is not installed")
        package = types.ModuleType("spu")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["spu"] = package
    return importlib.import_module("spu.libspu"), importlib.import_module("spu.libpsi")
