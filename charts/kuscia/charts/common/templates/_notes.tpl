{{/* The warnings of NOTES. */}}

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
{{- if and .Values.ingress.enabled (ne .Values.ingress.path "/") (not (contains "nginx.ingress.kubernetes.io/" (keys (.Values.ingress.annotations | default dict) | join " "))) }}
{{- include "kuscia.warning" (dict "id" "ingress-path-not-stripped" "path" (printf "%s.ingress.path" $component)
  "text" (printf "the ingress controller must strip %s before forwarding; configure it to do so" .Values.ingress.path)) }}
{{- end }}
{{- $known := (include (printf "%s.configKeys" $component) . | fromYaml).known }}
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
