"""Engines on a lite: RunK (pods in the host cluster) and RunP (processes next to the lite). RunC rejects them."""

from kuscia_sim.agent.agent import run_agent
from kuscia_sim.agent.errors import AgentStartError

__all__ = ["AgentStartError", "run_agent"]
