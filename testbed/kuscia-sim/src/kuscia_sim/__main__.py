"""The command line: `kuscia start -c FILE`, `kuscia init`, `kuscia image builtin|list`."""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

from kuscia_sim import credentials
from kuscia_sim.agent import images
from kuscia_sim.node.config import MODES, PROTOCOLS, RESERVED_DOMAIN_ID, parse_rsa_key
from kuscia_sim.node.instance import VERSION
from kuscia_sim.node.start import start

DOMAIN_ID = "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
RUNTIMES = ("runc", "runk", "runp")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="kuscia")
    parser.add_argument("--version", action="version", version=f"kuscia version {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="Start means running Kuscia")
    starting.add_argument("-c", "--config", default="etc/config/kuscia.yaml", help="load config from file.")
    starting.add_argument(
        "-l", "--loglevel-hot-reload", nargs="?", const="true", default="true", choices=["true", "false"]
    )
    making = commands.add_parser("init", help="Init means generating a Kuscia configuration")
    for flags, default in (
        (("--mode",), ""),
        (("-d", "--domain"), ""),
        (("-r", "--runtime"), "runc"),
        (("-f", "--domain-key-file"), ""),
        (("-l", "--log-level"), "INFO"),
        (("-t", "--lite-deploy-token"), ""),
        (("-m", "--master-endpoint"), ""),
        (("-e", "--datastore-endpoint"), ""),
        (("-p", "--protocol"), ""),
    ):
        making.add_argument(*flags, default=default)
    making.add_argument("--enable-workload-approve", action="store_true")
    managing = commands.add_parser("image", help="Manage images")
    managing.add_argument("--store", type=Path, default=Path.home() / ".kuscia/var/images")
    managing.add_argument("--runtime", choices=["runp"], default="runp")
    what = managing.add_subparsers(dest="what", required=True)
    adding = what.add_parser("builtin", help="Load a built-in image")
    adding.add_argument("name")
    adding.add_argument("-m", "--manifest", type=Path, help="image manifest file")
    what.add_parser("list", aliases=["ls"], help="List local images")
    options = parser.parse_args(arguments)
    if options.command == "start":
        return start(options.config, options.loglevel_hot_reload == "true")
    if options.command == "image":
        return image(options)
    return init(options)


def image(options: argparse.Namespace) -> int:
    """Add a built-in image to the RunP store, or list the store (Kuscia facts 1.1, 9)."""
    try:
        if options.what == "builtin":
            manifest = json.loads(options.manifest.read_text()) if options.manifest else {}
            images.register(options.store, options.name, manifest.get("config") or {})
        else:
            rows = [name.rpartition(":") for name in images.listed(options.store)]
            print("\n".join(["REPOSITORY\tTAG", *(f"{repository}\t{tag}" for repository, _, tag in rows)]))
    except (OSError, ValueError, images.BadStore) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    return 0


class BadInit(Exception):
    """The arguments of `kuscia init` are invalid; str() is what Kuscia logs before it exits with status 1."""


def init(options: argparse.Namespace) -> int:
    """Print a kuscia.yaml with a new key or the key in a file (Kuscia's cmd/kuscia/kusciainit/init.go)."""
    try:
        content = _initial(options)
    except BadInit as err:
        print(err, file=sys.stderr)
        return 1
    sys.stdout.write(yaml.safe_dump(content, sort_keys=False))
    return 0


def _initial(options: argparse.Namespace) -> dict[str, object]:
    """Return the configuration.

    Raises:
        BadInit: an argument is invalid.
    """
    mode = options.mode.lower()
    if options.domain == RESERVED_DOMAIN_ID:
        raise BadInit("Input domain id can't be 'master', please choose another name")
    invalid = _invalid(options, mode)
    if invalid:
        raise BadInit(f"Invalid config, err: {invalid}")
    if mode not in MODES:
        raise BadInit(f"Unsupported mode: {mode}")
    content: dict[str, object] = {
        "mode": options.mode,
        "domainID": options.domain,
        "domainKeyData": credentials.b64(_key_pem(options.domain_key_file)),
        "logLevel": options.log_level,
        **({"protocol": options.protocol} if options.protocol else {}),
    }
    if mode == "lite":
        content |= {"liteDeployToken": options.lite_deploy_token, "masterEndpoint": options.master_endpoint}
    else:
        content["datastoreEndpoint"] = options.datastore_endpoint
    if mode != "master":
        content |= {
            "runtime": options.runtime,
            "runk": {"namespace": "", "dnsServers": [], "kubeconfigFile": "", "enableLogging": False},
            "capacity": {"cpu": "", "memory": "", "pods": "", "storage": "", "ephemeralStorage": ""},
            "reservedResources": {"cpu": "", "memory": "", "bandwidth": ""},
            "image": {"pullPolicy": "", "defaultRegistry": "", "registries": []},
        }
    if options.enable_workload_approve and mode != "lite":
        content["enableWorkloadApprove"] = True
    return content


def _invalid(options: argparse.Namespace, mode: str) -> str | None:
    if not options.domain:
        return "invalid domain: empty not allowed"
    if not re.fullmatch(DOMAIN_ID, options.domain):
        return f"invalid domain: must conform to a regular expression `^{DOMAIN_ID}$`"
    if mode != "master" and options.runtime not in RUNTIMES:
        return f"unsupported runtime: {options.runtime}"
    if options.protocol and options.protocol.upper() not in PROTOCOLS:
        return f"unsupported protocol: {options.protocol}"
    return None


def _key_pem(path: str) -> str:
    """Return the key in the file as PEM.

    Raises:
        BadInit: the file does not exist or contains no RSA key.
    """
    if not path:
        return credentials.key_pem(credentials.new_key())
    try:
        pem = Path(path).read_text()
        parse_rsa_key(pem.encode())
    except OSError as err:
        raise BadInit(f"Init kuscia config err: open {path}: {(err.strerror or '').lower()}") from err
    except ValueError as err:
        raise BadInit(f"Init kuscia config err: {err}") from err
    return pem


if __name__ == "__main__":
    sys.exit(main())
