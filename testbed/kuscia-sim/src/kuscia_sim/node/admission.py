"""Admission of a lite by its master: probe, registration and token (Kuscia facts 5.4)."""

import asyncio

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim.gateway import envoy, handshake, registration
from kuscia_sim.gateway.gateway import Gateway
from kuscia_sim.gateway.master_probe import ProbeFailed, probe
from kuscia_sim.log import Log
from kuscia_sim.node.config import Config, Endpoint
from kuscia_sim.node.dns import Resolver
from kuscia_sim.node.module_manager import ModuleFailed

POLL_PAUSE, POLL_TIMEOUT = 2.0, 300.0
REGISTER_TRIES, REGISTER_PAUSE = 5, 1.0
HANDSHAKE_TRIES, HANDSHAKE_PAUSE = 50, 1.0

logger = Log(__name__)


class MasterSilent(ModuleFailed):
    """The master's gateway did not answer in time; Kuscia exits with status 1."""


class Admission:
    """The first contact of a lite with its master."""

    def __init__(self, config: Config, key: RSAPrivateKey, gateway: Gateway, resolver: Resolver) -> None:
        self._config = config
        self._key = key
        self._gateway = gateway
        self._resolver = resolver

    async def run(self) -> tuple[str, bytes, int]:
        """Register this lite and agree on a token.

        Returns:
            The master's domain ID, the token and its revision.

        Raises:
            ModuleFailed: a step failed for good; MasterSilent if the master never answered.
        """
        url = self._config.master_endpoint
        try:
            await probe(url, self._resolver)
        except ProbeFailed as err:
            raise ModuleFailed(f"[PROBE] failed to probe master endpoint {url}, detail-> {err}") from err
        logger.info("commands/root.go:88", f"[PROBE] success to probe master endpoint {url}")
        self._gateway.use_master(Endpoint.parse(url))
        logger.info("clusters/master.go:61", "add Master cluster:masterproxy")
        master_id = await self._poll_master()
        master_key = await self._register()
        token, revision = await self._agree(master_key)
        return master_id, token, revision

    async def _poll_master(self) -> str:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + POLL_TIMEOUT
        while loop.time() < deadline:
            await asyncio.sleep(POLL_PAUSE)
            try:
                answer = await self._call_master("GET", "/handshake")
            except handshake.PeerError as err:
                logger.warning("clusters/master.go:284", f"get master gateway namespace fail: {err}, wait for retry")
                continue
            master_id = str(answer.get("namespace", ""))
            logger.info("clusters/master.go:279", f"Get master gateway namespace: {master_id}")
            return master_id
        raise MasterSilent("get Master gateway namespace timeout")

    async def _register(self) -> str:
        domain_id = self._config.domain_id
        body, token = registration.request(domain_id, self._config.lite_deploy_token, self._key)
        where = f"uri(kuscia-handshake.master.svc),path({self._gateway.master_path('/register')})"
        failure = ""
        for _ in range(REGISTER_TRIES):
            asked = f'{{"domain_id":"{domain_id}","csr":"(base64 PEM)","request_time":{body["request_time"]}}}'
            answer = {}
            try:
                answer = await self._call_master("POST", "/register", body, {"jwt-token": token})
                failure = "<nil>"
            except handshake.PeerError as err:
                failure = str(err)
            shown = "{" + ",".join(f'"{name}":"(base64 PEM)"' for name, value in answer.items() if value) + "}"
            logger.info(
                "utils/http.go:86",
                f"[HTTP] method(POST),{where},req({asked}),res({shown}),err({failure})",
            )
            if failure == "<nil>":
                return str(answer.get("master_pubkey", ""))
            await asyncio.sleep(REGISTER_PAUSE)
        raise ModuleFailed(f"register self domain [{domain_id}] cert to master failed, detail -> {failure}")

    async def _agree(self, master_key: str) -> tuple[bytes, int]:
        path = self._gateway.master_path("/handshake")
        failure = ""
        for _ in range(HANDSHAKE_TRIES):
            try:
                return await self._gateway.client.agree(
                    path, envoy.MASTER_CLUSTER, "kuscia-handshake.master.svc", master_key, 0
                )
            except (handshake.PeerError, handshake.HandshakeFailed, ValueError) as err:
                failure = str(err)
                logger.warning("controller/handshake.go:759", failure)
            await asyncio.sleep(HANDSHAKE_PAUSE)
        raise ModuleFailed(f"handshake to master failed, detail -> handshake to master fail, return error:{failure}")

    async def _call_master(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, object]:
        return await self._gateway.client.call(
            method,
            self._gateway.master_path(path),
            envoy.MASTER_CLUSTER,
            "kuscia-handshake.master.svc",
            body,
            headers,
        )
