{{/* NOTES of one component, and its warnings: one a line. Both take the subchart's context. */}}

{{- define "kuscia.notes" -}}
{{- $name := include "kuscia.fullname" . -}}
{{- $ns := .Release.Namespace -}}
{{ .Chart.Name }} domain {{ .Values.domainId }}
  gateway    {{ include "kuscia.gateway" . }}
  KusciaAPI  {{ printf "%s://%s:8082" (include "kuscia.apiScheme" .) (include "kuscia.host" .) }} ({{ include "kuscia.apiProtocol" . }})
{{- range include "kuscia.publicEndpoints" . | trim | splitList "\n" }}
{{- with . }}
  outside    {{ . }}
{{- end }}
{{- end }}
{{- include (printf "kuscia.notes.%s" .Chart.Name) . }}

  Wait until it runs, and see what it waits for:
    kubectl -n {{ $ns }} rollout status deployment/{{ $name }} --timeout 15m
    kubectl -n {{ $ns }} logs deployment/{{ $name }} -c prepare
    kubectl -n {{ $ns }} logs deployment/{{ $name }} -c {{ .Chart.Name }} --tail 50
  See what the steps did:
    kubectl -n {{ $ns }} get jobs -l app.kubernetes.io/instance={{ .Release.Name }}
    kubectl -n {{ $ns }} logs -l app.kubernetes.io/component={{ ternary "register" "data" (eq .Chart.Name "master") }} --tail 20
  Look at it from outside (bin/kubectl-kuscia on the PATH; docs/operations.md says how without):
    kubectl kuscia status -n {{ $ns }}
    kubectl kuscia doctor -n {{ $ns }}
    {{- if eq .Chart.Name "master" }}
    kubectl kuscia invite DOMAIN -n {{ $ns }}
    {{- else }}
    kubectl kuscia logs JOB --follow -n {{ $ns }}
    {{- end }}
  Kept when the release is uninstalled, and taken again by the next one. To remove the domain for good:
    kubectl -n {{ $ns }} delete secret/{{ $name }}-domain-key configmap/{{ $name }}-domain-cert configmap/{{ $name }}-ledger --ignore-not-found
    kubectl -n {{ $ns }} delete jobs,pods -l app.kubernetes.io/instance={{ .Release.Name }},kuscia-chart/domain={{ .Values.domainId }}
    {{- if include "kuscia.ownsClaim" . }}
    kubectl -n {{ $ns }} delete pvc/{{ include "kuscia.claimName" . }} --ignore-not-found
    {{- end }}
    {{- if and (eq .Chart.Name "lite") (eq .Values.runtime "runk") }}
  Engines outlive an uninstall in the midst of a job. To remove what is left of them then:
    {{ include "kuscia.enginesCluster" . }} -n {{ include "lite.engineNamespace" . }} delete pods,configmaps,secrets -l kuscia.secretflow/namespace={{ .Values.domainId }}
    {{- end }}
{{- end -}}

{{/* kubectl for the cluster where engines run. */}}
{{- define "kuscia.enginesCluster" -}}
kubectl{{ if include "lite.hasKubeconfig" . }} --kubeconfig <that of Secret {{ .Values.runk.kubeconfigSecret }}>{{ end }}
{{- end -}}

{{- define "kuscia.notes.master" }}
  state      {{ .Values.datastore.type }}
  admits     {{ keys .Values.domains | sortAlpha | join ", " | default "no domain yet (master.domains)" }}
{{- with include "kuscia.publicEndpoints" . | trim }}

  A partner in another cluster gets the address above for lite.master.endpoint, and is admitted by its certificate, which
  it sends (master.domains.<id>.cert), or by its deploy token, which you send:
    kubectl -n {{ $.Release.Namespace }} get secret {{ include "kuscia.tokenSecretName" "<id>" }} -o jsonpath='{.data.token}' | base64 -d
{{- end }}
{{- include "kuscia.notes.external" . }}
{{- end -}}

{{/* How to learn an address that the cluster gives. */}}
{{- define "kuscia.notes.external" -}}
{{- if .Values.service.external.enabled }}

  The address that the world outside reaches the gateway at:
    kubectl -n {{ .Release.Namespace }} get service {{ include "kuscia.fullname" . }}-external
    {{- if eq .Values.service.external.type "NodePort" }}
    kubectl get nodes -o wide
    {{- end }}
{{- end }}
{{- end -}}

{{- define "kuscia.notes.lite" }}
  master     {{ .Values.master.endpoint }}
  runtime    {{ .Values.runtime }}
{{- if eq .Values.runtime "runk" }}, engine pods in {{ .Values.runk.namespace | default .Release.Namespace }}{{ end }}
{{- with include "lite.engineAccountCommand" . }}

  Engine pods get their pull secrets from their namespace's default ServiceAccount. Make the Secrets there too, then, once:
    {{ . }}
{{- end }}
{{- if not (or .Values.master.namespace .Values.master.tokenSecret) }}

  It is admitted by its certificate. The master's operator sets master.domains.{{ .Values.domainId }}.cert to what this prints:
    kubectl -n {{ .Release.Namespace }} get configmap {{ include "kuscia.fullname" . }}-domain-cert -o jsonpath='{.data.domain\.crt}'
{{- end }}
{{- if include "kuscia.publicEndpoints" . | trim }}

  Lites of other clusters reach it at the address above, which the master's operator sets as master.domains.{{ .Values.domainId }}.endpoint.
{{- end }}
{{- include "kuscia.notes.external" . }}
{{- end -}}

{{/* What gives engine pods their pull secrets; empty where they need none. */}}
{{- define "lite.engineAccountCommand" -}}
{{- $names := include "lite.enginePullSecrets" . | fromJsonArray -}}
{{- if and (eq .Values.runtime "runk") $names -}}
{{- $entries := list -}}
{{- range $names }}{{ $entries = append $entries (dict "name" .) }}{{ end -}}
{{ include "kuscia.enginesCluster" . }} -n {{ include "lite.engineNamespace" . }} patch serviceaccount default -p '{{ dict "imagePullSecrets" $entries | toJson }}'
{{- end -}}
{{- end -}}

{{- define "kuscia.warnings" -}}
{{- if eq (include "kuscia.apiProtocol" .) "NOTLS" }}
{{ .Chart.Name }}.protocol is NOTLS: whoever reaches port 8082 may do everything, no token is asked for
{{- if .Values.networkPolicy.enabled }}; only the NetworkPolicy stands before it, where the cluster enforces one{{ else }}, and networkPolicy is off{{ end }}.
{{- end }}
{{- if and .Values.ingress.enabled (ne .Values.ingress.path "/") (not (include "kuscia.usesIngressNginx" .)) }}
{{ .Chart.Name }}.ingress.path is {{ .Values.ingress.path }}: the controller has to take it away before the gateway sees the request; an Ingress alone does not say so.
{{- end }}
{{- $known := include (printf "%s.knownConfig" .Chart.Name) . | fromYamlArray }}
{{- range $key := keys (.Values.extraConfig | default dict) | sortAlpha }}
{{- if not (has $key $known) }}
{{ $.Chart.Name }}.extraConfig.{{ $key }} is no key that Kuscia is known to read on a {{ $.Chart.Name }}; it ignores what it does not know.
{{- end }}
{{- end }}
{{- include (printf "kuscia.warnings.%s" .Chart.Name) . }}
{{- end -}}

{{- define "kuscia.warnings.master" -}}
{{- if and (eq .Values.datastore.type "sqlite") (not .Values.persistence.enabled) }}
master.persistence is off: all domains, routes and jobs are lost when the pod goes.
{{- end }}
{{- if and (eq .Values.datastore.type "mysql") (contains "-" .Values.datastore.database) }}
master.datastore.database has a '-' in its name, which older releases of Kuscia cannot use.
{{- end }}
{{- if kindIs "slice" .Values.routes }}
{{- range .Values.routes }}
{{- $period := get (.tokenConfig | default dict) "rollingUpdatePeriod" | default 0 | int }}
{{- if and (gt $period 0) (lt $period 300) }}
master.routes: {{ .source }} to {{ .destination }} takes a new token every {{ $period }} s; Kuscia advises 300 or more.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "kuscia.warnings.lite" -}}
{{- if eq .Values.runtime "runc" }}
lite.runtime is runc: its container is privileged, which gives it the node. Kuscia does not recommend it on Kubernetes.
{{- end }}
{{- if and (eq .Values.runtime "runp") (eq .Values.image.repository "secretflow/kuscia") }}
lite.image.repository is secretflow/kuscia, which has no engine in it: under RunP no job finds one. Take secretflow/kuscia-secretflow.
{{- end }}
{{- if and (ne .Values.runtime "runk") (not .Values.persistence.enabled) }}
lite.persistence is off: local data is lost when the pod goes.
{{- end }}
{{- if and (eq .Values.runtime "runk") (has .Values.runk.namespace (list "" .Release.Namespace)) }}
lite.runk.namespace is this release's namespace: RunK may read every Secret in it. Name one of its own for production.
{{- end }}
{{- if contains "//kuscia.example.com" .Values.master.endpoint }}
lite.master.endpoint is still the preset's placeholder: the pod waits for a master of your own.
{{- end }}
{{- if and .Values.data.tables (contains "//oss.example.com" (toString .Values.data.source.endpoint)) }}
lite.data.source.endpoint is still the preset's placeholder: the tables wait for a server of your own.
{{- end }}
{{- end -}}
