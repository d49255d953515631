"""The command line: `kuscia start -c FILE`, `kuscia init`, `kuscia image builtin|list`."""

import argparse
import json
import sys
from pathlib import Path

import yaml

from kuscia_sim import credentials
from kuscia_sim.agent import images
from kuscia_sim.start import VERSION, start


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
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
        (("-p", "--protocol"), "NOTLS"),
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
    """Adds a built-in image to RunP's store, or lists what is there (Kuscia facts 1.1, 9)."""
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


def init(options: argparse.Namespace) -> int:
    """Prints a kuscia.yaml with a fresh key, or with the one in a file (Kuscia facts 2.6)."""
    mode = options.mode.lower()
    if mode not in ("master", "lite", "autonomy"):
        print(f"Unsupported mode: {options.mode}", file=sys.stderr)
        return 1
    if options.domain_key_file:
        try:
            with open(options.domain_key_file) as file:
                pem = file.read()
        except OSError as err:
            print(f"open {options.domain_key_file}: {(err.strerror or '').lower()}", file=sys.stderr)
            return 1
    else:
        pem = credentials.key_pem(credentials.new_key())
    content = {
        "mode": options.mode,
        "domainID": options.domain,
        "domainKeyData": credentials.b64(pem),
        "logLevel": options.log_level,
        "protocol": options.protocol,
    }
    if mode == "lite":
        content |= {
            "liteDeployToken": options.lite_deploy_token,
            "masterEndpoint": options.master_endpoint,
        }
    else:
        content["datastoreEndpoint"] = options.datastore_endpoint
    if mode != "master":
        content |= {
            "runtime": options.runtime,
            "runk": {"namespace": "", "dnsServers": [], "kubeconfigFile": "", "enableLogging": False},
            "capacity": {"cpu": "", "memory": "", "pods": "", "storage": "", "ephemeralStorage": ""},
            "reservedResources": {"cpu": "0.5", "memory": "500Mi"},
            "image": {"pullPolicy": "", "defaultRegistry": "", "registries": []},
        }
    if options.enable_workload_approve:
        content["enableWorkloadApprove"] = True
    sys.stdout.write(yaml.safe_dump(content, sort_keys=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
