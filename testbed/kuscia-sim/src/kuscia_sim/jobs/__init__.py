"""Jobs on a master: KusciaJob -> KusciaTask -> pods of engines, as objects in the store.

Objects have the shape of Kuscia's CRDs; times are RFC 3339:

- `kusciajobs` in `cross-domain`, written by KusciaAPI: spec{initiator, maxParallelism, scheduleMode,
  tasks[{alias, taskID, appImage, taskInputConfig, parties[{domainID, role, resources{limits},
  bandwidthLimits}], dependencies, priority, tolerable, scheduleConfig}]}. A command (stop, cancel,
  suspend, restart) is the label `kuscia.secretflow/job-stage`. The controller writes status{phase, reason,
  message, conditions, taskStatus{taskID: phase}, stageStatus{domain: ...}, approveStatus{domain: ...},
  startTime, completionTime}.
- `kusciatasks` in `cross-domain`, name = task ID, owned by the job: spec{initiator, taskInputConfig,
  parties[{domainID, role, appImageRef, template}], scheduleConfig}, status{phase, message, startTime,
  completionTime, partyTaskStatus[{domainID, role, phase}], podStatuses{"<domain>/<pod>": {...}},
  serviceStatuses{"<domain>/<service>": {...}}, allocatedPorts, conditions}.
- `pods` in the domain's namespace, name `<task>[-<role>]-<replica>`, owned by the task: a core/v1 Pod.
  The master binds it (spec.nodeName = a Ready node of that domain); the domain's agent runs it and writes
  status{phase, podIP, containerStatuses, conditions}. The pod is deleted when the task ends; the agent
  then removes what it created for it.
- `configmaps` in the domain's namespace, owned by the task: `<task>-configtemplate` (the AppImage's
  templates) and `<task>-kuscia-gen-conf` (data: pod name -> JSON object of template variables).
- `endpoints` in the domain's namespace, one for each engine port that others may call, owned by the
  pod and written by the agent while it runs: spec{host "<service>.<domain>.svc", ip, port, scope, protocol,
  task, portName, accessDomains}.

Nothing is kept in memory only, so a restarted master continues.
"""

from kuscia_sim.jobs.controller import run_job_controller

__all__ = ["run_job_controller"]
