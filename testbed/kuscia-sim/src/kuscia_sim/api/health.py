"""POST /healthZ."""

from kuscia_sim.api import messages as m
from kuscia_sim.protojson import Dict
from kuscia_sim.wire import Context, Endpoints

endpoints = Endpoints("/")


@endpoints.add("healthZ", m.HealthRequest, m.HealthResponse)
async def health(_ctx: Context, _request: Dict) -> Dict:
    return {"data": {"ready": True}}
