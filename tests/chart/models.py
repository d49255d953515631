"""The configuration files of the chart, and the models with which the steps read them."""

from pydantic import BaseModel

from kuscia_hooks.core.config.check import Check
from kuscia_hooks.core.config.data import Data, Seed
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.config.routes import Routes

MODELS: dict[str, type[BaseModel]] = {
    "prepare": Prepare,
    "seed": Seed,
    "register": Register,
    "routes": Routes,
    "data": Data,
    "check": Check,
    "doctor": Release,
}
