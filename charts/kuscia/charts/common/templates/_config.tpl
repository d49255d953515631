{{/*
The base of kuscia.yaml without secrets, as YAML: {ctx, own}; `own` holds the keys of the component as a dict. The
`prepare` init container adds the secrets. extraConfig overrides everything except the keys that validation rejects:
mappings are merged, lists and other values are replaced.
*/}}
{{- define "kuscia.baseConfig" -}}
{{- $ctx := .ctx -}}
{{- $extra := deepCopy ($ctx.Values.extraConfig | default dict) -}}
{{- $name := include "kuscia.fullname" $ctx -}}
{{- $ns := $ctx.Release.Namespace -}}
{{- $sans := list $name (printf "%s.%s" $name $ns) (printf "%s.%s.svc" $name $ns) (include "kuscia.host" $ctx) -}}
{{- $sans = concat $sans ($extra.kusciaAPISans | default list) | uniq -}}
{{- $config := dict
  "mode" $ctx.Chart.Name
  "domainID" $ctx.Values.domainId
  "logLevel" "INFO"
  -}}
{{- with $ctx.Values.protocol -}}
{{- $_ := set $config "protocol" (. | toString | upper) -}}
{{- end -}}
{{- $config = mergeOverwrite $config .own $extra (dict "kusciaAPISans" $sans) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The Secret that `prepare` merges into kuscia.yaml. */}}
{{- define "kuscia.extraConfigSecret" -}}
{{- if .Values.extraConfigSecret -}}
extraConfigSecret:
  name: {{ .Values.extraConfigSecret }}
  key: {{ .Values.extraConfigSecretKey | quote }}
{{- else -}}
extraConfigSecret: null
{{- end -}}
{{- end -}}

{{/* The keys that this Secret must not have, each with the reason. */}}
{{- define "kuscia.extraConfigRefused" -}}
extraConfigRefused:
  {{- range include "kuscia.refusedConfig" . | fromJsonArray }}
  {{ .path }}: {{ printf "%s; example: %s" .rule .example | quote }}
  {{- end }}
  kusciaAPISans: {{ printf "must not be set here: add names to %s.extraConfig, which keeps those of the Service" .Chart.Name | quote }}
{{- end -}}

{{/* The ConfigMap of a step: {ctx, step, config}. */}}
{{- define "kuscia.stepConfigMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "kuscia.fullname" .ctx }}-{{ .step }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .ctx "component" .step) | nindent 4 }}
data:
  {{ .step }}.yaml: |
    {{- .config | nindent 4 }}
{{- end -}}

{{/* The first keys in the configuration of each step that uses KusciaAPI. */}}
{{- define "kuscia.stepConfig" -}}
domainId: {{ .Values.domainId | quote }}
namespace: {{ .Release.Namespace }}
keySecret:
  {{- include "kuscia.keySecret" . | nindent 2 }}
api:
  {{- include "kuscia.api" . | nindent 2 }}
{{- end -}}

{{/* A number or text as text. Helm parses every number in a values file as a float. */}}
{{- define "kuscia.number" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ printf "%.0f" . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}

{{/* The first keys in the configuration of `doctor`, `status`, `logs` and `invite`. */}}
{{- define "kuscia.doctorConfig" -}}
mode: {{ .Chart.Name }}
{{ include "kuscia.stepConfig" . }}
release: {{ .Release.Name }}
fullname: {{ include "kuscia.fullname" . }}
ledger: {{ include "kuscia.ledgerName" . }}
gateway: {{ include "kuscia.gateway" . }}
{{ include "kuscia.extraConfigSecret" . }}
{{- end -}}
