"""The configuration files of the steps.

The chart renders them; tests/chart loads every rendered one through these models. The modules are imported on demand:
to define all models takes as long as all else that a step imports.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kuscia_hooks.core.config.check import Check, CheckedSource, ExampleJob, Party
    from kuscia_hooks.core.config.common import (
        Api,
        Master,
        SecretKey,
        TokenSecret,
        split_endpoint,
        valid_domain_id,
        valid_endpoint,
    )
    from kuscia_hooks.core.config.data import Column, Credentials, Data, Grant, LocalFs, Oss, Seed, Table
    from kuscia_hooks.core.config.datastore import Database, Datastore, Sqlite, param_text
    from kuscia_hooks.core.config.engines import CheckedEngines, Engines, InspectedEngines
    from kuscia_hooks.core.config.files import load, parse
    from kuscia_hooks.core.config.prepare import Prepare
    from kuscia_hooks.core.config.register import Admission, Register
    from kuscia_hooks.core.config.release import External, Invitation, Neighbor, Release
    from kuscia_hooks.core.config.routes import AppImage, Route, Routes

_NAMES = {
    "check": "Check CheckedSource ExampleJob Party",
    "common": "Api Master SecretKey TokenSecret split_endpoint valid_domain_id valid_endpoint",
    "data": "Column Credentials Data Grant LocalFs Oss Seed Table",
    "datastore": "Database Datastore Sqlite param_text",
    "engines": "CheckedEngines Engines InspectedEngines",
    "files": "load parse",
    "prepare": "Prepare",
    "register": "Admission Register",
    "release": "External Invitation Neighbor Release",
    "routes": "AppImage Route Routes",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "Admission", "Api", "AppImage", "Check", "CheckedEngines", "CheckedSource", "Column", "Credentials", "Data",
    "Database", "Datastore", "Engines", "ExampleJob", "External", "Grant", "InspectedEngines", "Invitation", "LocalFs",
    "Master", "Neighbor", "Oss", "Party", "Prepare", "Register", "Release", "Route", "Routes", "SecretKey", "Seed",
    "Sqlite", "Table", "TokenSecret", "load", "param_text", "parse", "split_endpoint", "valid_domain_id",
    "valid_endpoint",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
