"""The three releases of the demo together."""

from concurrent.futures import ThreadPoolExecutor

from testbed.cluster.kubectl import Kubectl
from testbed.demo import summary
from testbed.demo.releases import RELEASES, uninstall


def remove_all(kubectl: Kubectl) -> None:
    with ThreadPoolExecutor(len(RELEASES)) as pool:
        list(pool.map(lambda release: uninstall(kubectl, release), RELEASES))


def all_ready(kubectl: Kubectl) -> bool:
    return all(row[2] == "True" for row in summary.routes(kubectl)) and len(summary.tables(kubectl)) >= 2
