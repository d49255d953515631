"""The configuration files of the steps.

The chart renders them; tests/chart loads every rendered one through these models.
"""

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
from kuscia_hooks.core.config.load import load, parse
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Admission, Register
from kuscia_hooks.core.config.release import External, Neighbor, Release
from kuscia_hooks.core.config.routes import AppImage, Route, Routes

__all__ = [
    "Admission", "Api", "AppImage", "Check", "CheckedEngines", "CheckedSource", "Column", "Credentials", "Data",
    "Database", "Datastore", "Engines", "ExampleJob", "External", "Grant", "InspectedEngines", "LocalFs", "Master",
    "Neighbor", "Oss", "Party", "Prepare", "Register", "Release", "Route", "Routes", "SecretKey", "Seed", "Sqlite",
    "Table", "TokenSecret", "load", "param_text", "parse", "split_endpoint", "valid_domain_id", "valid_endpoint",
]  # fmt: skip
