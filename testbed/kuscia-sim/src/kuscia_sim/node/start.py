"""`kuscia start`: from the configuration file to a running master or lite.

The order of modules is that of Kuscia facts 1.2; error output and exit status are those of recordings/startup-cases.
"""

import asyncio
import re
import signal
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import log
from kuscia_sim.faults.injector import Faults
from kuscia_sim.faults.rules import FaultsInvalid
from kuscia_sim.node import config as configuration
from kuscia_sim.node.config import Config, ConfigError, DomainKeyError
from kuscia_sim.node.files import Certs, prepare
from kuscia_sim.node.host import Host, HostIPUnknown
from kuscia_sim.node.instance import Fatal, Instance
from kuscia_sim.node.module_manager import Manager, NotGraceful

FULL_CAPABILITIES = 0x3FFFFFFFF
NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")

logger = log.Log(__name__)


def start(config_path: str, hot_reload: bool = True) -> int:
    """Run a node until SIGTERM or a failure, and return the exit status."""
    if hot_reload:
        log.say(f"Kuscia config file watcher start, config file: {config_path}.")
        log.say(f"Kuscia hot reload is enabled, config file path: {config_path}")
    try:
        config = configuration.load(config_path)
        if config.mode == "autonomy":
            raise ConfigError("Load kuscia config failed. the stand-in does not support mode autonomy")
        host = Host.from_environment()
        faults = Faults.from_environment(config.domain_id, config.mode)
    except (ConfigError, FaultsInvalid, HostIPUnknown) as err:
        log.say(str(err))
        return 1
    log.setup(host.home, config.log_level)
    try:
        key = _key(config, host)
        certs = prepare(config, host, key)
        _check_permissions(config)
        _check_hostname(config, host)
        return asyncio.run(_run(config, host, key, certs, faults))
    except Fatal as err:
        logger.fatal(err.where, str(err))
        return 1
    except PermissionError as err:
        log.say(f"Error: {err}")
        log.say(str(err))
        return 1
    except NotGraceful as err:
        log.say(f"Error: {err}")
        log.say(str(err))
        return 1


def _key(config: Config, host: Host) -> RSAPrivateKey:
    kept = host.home / "var/certs/ca.key"
    try:
        return configuration.load_key(config.domain_key_data, kept)
    except DomainKeyError as err:
        if err.before:
            logger.error(*err.before)
        absent = str(not config.domain_key_data).lower()
        logger.error("modules/runtime.go:72", f"load key failed: key: {absent}, file: {kept}")
        raise Fatal("modules/runtime.go:195", str(err)) from err


def _check_permissions(config: Config) -> None:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    logger.info("runtime/permission.go:115", f"[CapEff]: /proc/self/status capeff={effective}")
    if config.runtime == "runc" and not is_privileged(effective):
        logger.error("start/start.go:86", "Runc must run with privileged mode")
        logger.error("start/start.go:87", "Please run kuscia like: docker run --privileged secretflow/kuscia")
        raise PermissionError("permission is error")


def is_privileged(effective: str) -> bool:
    """Tell whether CapEff of /proc/self/status is sufficient for RunC: all of 34 are required (Kuscia facts 1.6)."""
    return int(effective, 16) & FULL_CAPABILITIES == FULL_CAPABILITIES


def _check_hostname(config: Config, host: Host) -> None:
    if not config.is_master and not NODE_NAME.fullmatch(host.hostname):
        raise Fatal("modules/agent.go:82", f"Get hostname fail: {host.hostname!r} is not a valid node name")


async def _run(config: Config, host: Host, key: RSAPrivateKey, certs: Certs, faults: Faults) -> int:
    await faults.slow_start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    instance = Instance(config, host, key, certs, faults)
    try:
        await Manager(instance.modules()).run(stop)
    finally:
        await instance.close()
    if instance.fatal:
        raise instance.fatal
    logger.info("start/start.go:154", f"Kuscia Instance [{config.domain_id}] shut down")
    return 0
