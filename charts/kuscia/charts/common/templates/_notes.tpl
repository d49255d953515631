{{/* The notes of one component, and its warnings, one per line. Both take the context of the component. */}}

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
{{- if .Values.service.external.enabled }}

  Find the external address of the gateway:
    kubectl -n {{ .Release.Namespace }} get service {{ include "kuscia.fullname" . }}-external
    {{- if eq .Values.service.external.type "NodePort" }}
    kubectl get nodes -o wide
    {{- end }}
{{- end }}

  Wait until the pod is ready, and show the reason if it is not:
    kubectl -n {{ $ns }} rollout status deployment/{{ $name }} --timeout 15m
    kubectl -n {{ $ns }} logs deployment/{{ $name }} -c prepare
    kubectl -n {{ $ns }} logs deployment/{{ $name }} -c {{ .Chart.Name }} --tail 50
  Show the result of the steps:
    kubectl -n {{ $ns }} get jobs -l app.kubernetes.io/instance={{ .Release.Name }}
    kubectl -n {{ $ns }} logs -l app.kubernetes.io/component={{ ternary "register" "data" (eq .Chart.Name "master") }} --tail 20
  Show the state of the domain (requires bin/kubectl-kuscia of the chart's repository on the PATH; for the commands without it,
  see docs/operations.md there):
    kubectl kuscia status -n {{ $ns }}
    kubectl kuscia doctor -n {{ $ns }}
    {{- if eq .Chart.Name "master" }}
    kubectl kuscia invite DOMAIN -n {{ $ns }}
    {{- else }}
    kubectl kuscia logs JOB --follow -n {{ $ns }}
    {{- end }}
  {{- if .Release.IsUpgrade }}
  Objects in Kuscia that left the values are kept, and status lists them. To delete them:
    helm upgrade {{ .Release.Name }} ./charts/kuscia -n {{ $ns }} --reuse-values --set {{ ternary "master.prune.domains=true,master.prune.routes=true,master.prune.appImages=true" "lite.data.prune=true" (eq .Chart.Name "master") }}
  {{- end }}
  An uninstall keeps these objects, and the next install reuses them. To delete the domain permanently:
    kubectl -n {{ $ns }} delete secret/{{ $name }}-domain-key configmap/{{ $name }}-domain-cert configmap/{{ $name }}-ledger --ignore-not-found
    kubectl -n {{ $ns }} delete jobs,pods -l app.kubernetes.io/instance={{ .Release.Name }},kuscia-chart/domain={{ .Values.domainId }}
    {{- if include "kuscia.ownsClaim" . }}
    kubectl -n {{ $ns }} delete pvc/{{ include "kuscia.claimName" . }} --ignore-not-found
    {{- end }}
    {{- if and (eq .Chart.Name "lite") (eq .Values.runtime "runk") }}
  An uninstall during a job leaves engine pods behind. To delete them:
    {{ include "kuscia.enginesCluster" . }} -n {{ include "lite.engineNamespace" . }} delete pods,configmaps,secrets -l kuscia.secretflow/namespace={{ .Values.domainId }}
    {{- end }}
{{- end -}}

{{/* The kubectl command for the cluster where engine pods run. */}}
{{- define "kuscia.enginesCluster" -}}
kubectl{{ if include "lite.hasKubeconfig" . }} --kubeconfig <file from Secret {{ .Values.runk.kubeconfigSecret }}>{{ end }}
{{- end -}}

{{- define "kuscia.notes.master" }}
  state      {{ .Values.datastore.type }}
{{- if ne .Values.datastore.type "sqlite" }}, database {{ .Values.datastore.database }} at {{ .Values.datastore.host }}{{ end }}
{{- if .Release.IsUpgrade }} (another datastore than before is a new, empty cluster){{ end }}
  admits     {{ keys .Values.domains | sortAlpha | join ", " | default "no domain yet (master.domains)" }}
{{- with include "kuscia.publicEndpoints" . | trim }}

  A partner in another cluster sets lite.master.endpoint to the address above. To admit it, set master.domains.<id>.cert to
  the certificate that it sends you, or send it its deploy token:
    kubectl -n {{ $.Release.Namespace }} get secret {{ include "kuscia.tokenSecretName" (dict "master" (include "kuscia.fullname" $) "domain" "<id>") }} -o jsonpath='{.data.token}' | base64 -d
{{- end }}
{{- end -}}

{{- define "kuscia.notes.lite" }}
  master     {{ .Values.master.endpoint }}{{ if and (hasPrefix "https://" (toString .Values.master.endpoint)) (not (include "lite.rule.caBundle" . | trim)) }} (certificate not verified; see lite.master.caBundle){{ end }}
  runtime    {{ .Values.runtime }}
{{- if eq .Values.runtime "runk" }}, engine pods in {{ .Values.runk.namespace | default .Release.Namespace }}{{ end }}
{{- $secrets := list }}
{{- range include "lite.enginePullSecrets" . | fromJsonArray }}
{{- $secrets = append $secrets (dict "name" .) }}
{{- end }}
{{- if and $secrets (eq .Values.runtime "runk") }}

  Engine pods take their pull secrets from the default ServiceAccount of their namespace. Create the Secrets there, then run once:
    {{ include "kuscia.enginesCluster" . }} -n {{ include "lite.engineNamespace" . }} patch serviceaccount default -p '{{ dict "imagePullSecrets" $secrets | toJson }}'
{{- end }}
{{- if not (or .Values.master.namespace .Values.master.tokenSecret) }}

  This domain is admitted by its certificate. The operator of the master sets master.domains.{{ .Values.domainId }}.cert to the output of:
    kubectl -n {{ .Release.Namespace }} get configmap {{ include "kuscia.fullname" . }}-domain-cert -o jsonpath='{.data.domain\.crt}'
{{- end }}
{{- if include "kuscia.publicEndpoints" . | trim }}

  Lites in other clusters reach this one at the address above. The operator of the master sets master.domains.{{ .Values.domainId }}.endpoint to it.
{{- end }}
{{- end -}}

{{/* One line of NOTES about a risk or a likely mistake: {id, path, text}. IDs are stable, as those of errors are. */}}
{{- define "kuscia.warning" }}
WARNING [{{ .id }}] {{ .path }}: {{ .text }}
{{- end -}}

{{- define "kuscia.warnings" -}}
{{- $component := .Chart.Name -}}
{{- if and (eq $component "master") .Values.prune.domains }}
{{- include "kuscia.warning" (dict "id" "prune-domains-enabled" "path" "master.prune.domains"
  "text" "a domain that leaves the values is deleted, and the register step can delete all Secrets in this namespace; set it for one upgrade only") }}
{{- end }}
{{- if eq (include "kuscia.apiProtocol" .) "NOTLS" }}
{{- $guard := ternary "only the NetworkPolicy protects it, if the cluster enforces NetworkPolicies" "networkPolicy is disabled as well" .Values.networkPolicy.enabled }}
{{- include "kuscia.warning" (dict "id" "notls-open" "path" (printf "%s.protocol" $component)
  "text" (printf "anyone who can reach port 8082 or 8083 has full access (NOTLS requires no token); %s" $guard)) }}
{{- end }}
{{- $policy := .Values.networkPolicy }}
{{- if and $policy.enabled (not $policy.extraIngress) }}
{{- if and (not $policy.metricsFrom) (or .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled) }}
{{- include "kuscia.warning" (dict "id" "no-allowed-clients" "path" (printf "%s.networkPolicy.metricsFrom" $component)
  "text" "Prometheus cannot reach port 9091; add its pods") }}
{{- end }}
{{- if and (not $policy.apiFrom) .Values.service.grpc.enabled }}
{{- include "kuscia.warning" (dict "id" "no-allowed-clients" "path" (printf "%s.networkPolicy.apiFrom" $component)
  "text" "no client can reach port 8083; add the pods of your clients") }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (ne .Values.ingress.path "/") (not (include "kuscia.usesIngressNginx" .)) }}
{{- include "kuscia.warning" (dict "id" "ingress-path-not-stripped" "path" (printf "%s.ingress.path" $component)
  "text" (printf "the ingress controller must strip %s before forwarding; configure it to do so" .Values.ingress.path)) }}
{{- end }}
{{- $known := include (printf "%s.knownConfig" $component) . | fromYamlArray }}
{{- range $key := keys (.Values.extraConfig | default dict) | sortAlpha }}
{{- if not (has $key $known) }}
{{- include "kuscia.warning" (dict "id" "unknown-config-key" "path" (printf "%s.extraConfig.%s" $component $key)
  "text" (printf "not a known key of kuscia.yaml for a %s; Kuscia ignores unknown keys" $component)) }}
{{- end }}
{{- end }}
{{- $stores := ternary (eq (toString (.Values.datastore | default dict).type) "sqlite") (ne (toString .Values.runtime) "runk") (eq .Chart.Name "master") }}
{{- if and $stores (not .Values.persistence.enabled) }}
{{- include "kuscia.warning" (dict "id" "not-persistent" "path" (printf "%s.persistence" $component)
  "text" (printf "disabled: %s are lost when the pod is deleted" (ternary "domains, routes and jobs" "local tables and results" (eq $component "master")))) }}
{{- end }}
{{- if eq $component "master" }}
{{- if and (eq .Values.datastore.type "mysql") (contains "-" .Values.datastore.database) }}
{{- include "kuscia.warning" (dict "id" "dash-in-database-name" "path" "master.datastore.database"
  "text" "contains '-', which older releases of Kuscia do not support") }}
{{- end }}
{{- if kindIs "slice" .Values.routes }}
{{- range $i, $route := .Values.routes }}
{{- $period := get ($route.tokenConfig | default dict) "rollingUpdatePeriod" | default 0 | int }}
{{- if and (gt $period 0) (lt $period 300) }}
{{- include "kuscia.warning" (dict "id" "short-token-period" "path" (printf "master.routes[%d].tokenConfig.rollingUpdatePeriod" $i)
  "text" (printf "the token of %s to %s is replaced every %d s; Kuscia recommends 300 or more" $route.source $route.destination $period)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $component "lite" }}
{{- if eq .Values.runtime "runc" }}
{{- include "kuscia.warning" (dict "id" "runc-privileged" "path" "lite.runtime"
  "text" "runc runs a privileged container (grants root on the node); Kuscia recommends runk or runp on Kubernetes") }}
{{- end }}
{{- if and (eq .Values.runtime "runp") (eq .Values.image.repository "secretflow/kuscia") }}
{{- include "kuscia.warning" (dict "id" "runp-without-engine" "path" "lite.image.repository"
  "text" "secretflow/kuscia contains no engine, so every job under runp fails; use secretflow/kuscia-secretflow") }}
{{- end }}
{{- if and (eq .Values.runtime "runk") (has .Values.runk.namespace (list "" .Release.Namespace)) }}
{{- include "kuscia.warning" (dict "id" "runk-shared-namespace" "path" "lite.runk.namespace"
  "text" "engine pods share the namespace of the release, so RunK can read every Secret in it; use a separate namespace in production") }}
{{- end }}
{{- end }}
{{- end -}}
