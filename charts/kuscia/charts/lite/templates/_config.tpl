{{- define "lite.isRunk" -}}
{{- if eq .Values.runtime "runk" -}}true{{- end -}}
{{- end -}}

{{/* Where RunK makes engine pods. */}}
{{- define "lite.engineNamespace" -}}
{{- .Values.runk.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "lite.kubeconfigPath" -}}
{{- if .Values.runk.kubeconfigSecret -}}/etc/kuscia-runk/{{ .Values.runk.kubeconfigSecretKey }}{{- end -}}
{{- end -}}

{{/* The lite's own part of kuscia.yaml. */}}
{{- define "lite.ownConfig" -}}
masterEndpoint: {{ .Values.master.endpoint }}
runtime: {{ .Values.runtime }}
{{- if include "lite.isRunk" . }}
runk:
  namespace: {{ include "lite.engineNamespace" . }}
  dnsServers:
    {{- .Values.runk.dnsServers | default list | toYaml | nindent 4 }}
  kubeconfigFile: {{ include "lite.kubeconfigPath" . | quote }}
  enableLogging: {{ .Values.runk.enableLogging }}
{{- end }}
{{- with .Values.capacity }}
capacity:
  {{- range $key, $value := . }}
  {{- if not (kindIs "invalid" $value) }}
  {{ $key }}: {{ include "kuscia.number" $value | quote }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
Where the deploy token lies; null when the domain is admitted by its certificate. Without a namespace it is a Secret of
this release's own namespace.
*/}}
{{- define "lite.deployToken" -}}
{{- $master := .Values.master -}}
{{- if or $master.namespace $master.tokenSecret -}}
namespace: {{ $master.namespace | default .Release.Namespace }}
name: {{ $master.tokenSecret | default (include "kuscia.tokenSecretName" .Values.domainId) }}
key: {{ $master.tokenKey }}
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap that `prepare` reads. */}}
{{- define "lite.configData" -}}
kuscia.yaml: |
  {{- include "kuscia.baseConfig" (dict "ctx" . "own" (include "lite.ownConfig" . | fromYaml)) | nindent 2 }}
prepare.yaml: |
  mode: lite
  domainId: {{ .Values.domainId | quote }}
  namespace: {{ .Release.Namespace }}
  keySecret:
    {{- include "kuscia.keySecret" . | nindent 4 }}
  rootless: {{ .Values.rootless }}
  master:
    endpoint: {{ .Values.master.endpoint }}
  {{- with include "lite.deployToken" . }}
  deployToken:
    {{- . | nindent 4 }}
  {{- else }}
  deployToken: null
  {{- end }}
  {{- if and (include "lite.isRunk" .) (not .Values.runk.dnsServers) }}
  dnsService: {{ include "kuscia.host" . }}
  {{- else }}
  dnsService: null
  {{- end }}
{{- end -}}

{{/* Whether there is something for the `data` step to do. */}}
{{- define "lite.hasData" -}}
{{- if or .Values.data.tables .Values.data.prune -}}true{{- end -}}
{{- end -}}

{{/* The tables as a step reads them: what lies in a claim is a file below /tables of the pod. */}}
{{- define "lite.tables" -}}
{{- $tables := list }}
{{- range .Values.data.tables }}
{{- $table := merge (dict "name" (.name | default .relativeUri)) (omit . "claim" "urlSecret") }}
{{- with .claim }}
{{- $_ := set $table "file" (printf "/tables/%s/%s" .name .path) }}
{{- end }}
{{- with .urlSecret }}
{{- $_ := set $table "urlCredentialsSecret" (dict "name" .) }}
{{- end }}
{{- $tables = append $tables $table }}
{{- end }}
{{- toYaml $tables }}
{{- end -}}

{{/* Names of the claims that tables come from, as JSON. */}}
{{- define "lite.tableClaims" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .claim }}{{- $names = append $names .name }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{/* Names of the Secrets that URLs ask for, as JSON. */}}
{{- define "lite.tableSecrets" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .urlSecret }}{{- $names = append $names . }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{- define "lite.tableVolumes" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  persistentVolumeClaim:
    claimName: {{ $name }}
    readOnly: true
{{- end }}
{{- end -}}

{{- define "lite.tableMounts" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  mountPath: /tables/{{ $name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "lite.dataConfig" -}}
{{ include "kuscia.verbConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
labels:
  {{- include "kuscia.derivedLabels" . | nindent 2 }}
source:
  {{- .Values.data.source | toYaml | nindent 2 }}
tables:
  {{- include "lite.tables" . | nindent 2 }}
grants:
  {{- .Values.data.grants | default list | toYaml | nindent 2 }}
prune: {{ .Values.data.prune }}
{{- end -}}

{{/* The name of the Secret with the keys of an OSS data source that the `data` step declares. */}}
{{- define "lite.sourceSecret" -}}
{{- if and (include "lite.hasData" .) (eq .Values.data.source.type "oss") -}}
{{- .Values.data.source.credentialsSecret.name -}}
{{- end -}}
{{- end -}}

{{- define "lite.checkConfig" -}}
mode: lite
{{ include "kuscia.verbConfig" . }}
gateway: {{ include "kuscia.gateway" . }}
master:
  endpoint: {{ .Values.master.endpoint }}
source:
{{- if include "lite.sourceSecret" . }}
  id: {{ .Values.data.source.id }}
  credentialsSecret:
    {{- toYaml .Values.data.source.credentialsSecret | nindent 4 }}
{{- else }} null{{ end }}
{{- $tables := list }}
{{- range .Values.data.tables }}
{{- $tables = append $tables .id }}
{{- end }}
tables: {{ $tables | toJson }}
results: {{ .Values.data.results | default list | toJson }}
{{- end -}}
