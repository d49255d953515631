"""POST /healthZ."""

from kuscia_sim.api import messages as m
from kuscia_sim.transport.endpoints import Context, Endpoints
from kuscia_sim.transport.protojson import Dict

endpoints = Endpoints("/")


@endpoints.add("healthZ", m.HealthRequest, m.HealthResponse)
async def health(_ctx: Context, _request: Dict) -> Dict:
    return {"data": {"ready": True}}
