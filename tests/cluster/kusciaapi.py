"""KusciaAPI of a release in the cluster, from the machine that runs the tests."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kuscia_hooks.api import KusciaAPI

from tests.cluster.kubectl import Kubectl
