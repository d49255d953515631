{{/* The keys of kuscia.yaml that have a dedicated value, with an example of that value under `master`. */}}
{{- define "master.ownedConfig" -}}
mode: "enabled: true"
domainID: "domainId: kuscia-system"
protocol: "protocol: TLS"
{{- end -}}

{{/* The keys of kuscia.yaml that extraConfig can set (Kuscia facts 2). */}}
{{- define "master.knownConfig" -}}
[logLevel, logrotate, debug, debugPort, kusciaAPISans, garbageCollection, clusterToken, enableWorkloadApprove, domainRoute]
{{- end -}}

{{/* The datastore in the configuration of `prepare`, `check` and `doctor`. */}}
{{- define "master.datastore" -}}
{{- $store := .Values.datastore -}}
type: {{ $store.type }}
{{- if eq $store.type "sqlite" }}
path: /home/kuscia/var/k3s
{{- else }}
host: {{ $store.host }}
port: {{ $store.port | default (ternary 3306 5432 (eq $store.type "mysql")) | int }}
database: {{ $store.database | quote }}
user: {{ $store.user | quote }}
passwordSecret:
  name: {{ $store.existingSecret }}
  key: {{ $store.existingSecretKey }}
params:
  {{- $store.params | default dict | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What identifies the state of the master: another one needs its Domains and routes again. */}}
{{- define "master.state" -}}
{{- if ne .Values.datastore.type "sqlite" -}}
{{- pick (include "master.datastore" . | fromYaml) "type" "host" "port" "database" | toYaml -}}
{{- else if .Values.persistence.enabled -}}
type: sqlite
claim: {{ include "kuscia.claimName" . }}
{{- else -}}
type: sqlite
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap that `prepare` and `seed` read. */}}
{{- define "master.configData" -}}
kuscia.yaml: |
  {{- include "kuscia.baseConfig" (dict "ctx" . "own" dict) | nindent 2 }}
prepare.yaml: |
  mode: master
  domainId: {{ .Values.domainId | quote }}
  namespace: {{ .Release.Namespace }}
  keySecret:
    {{- include "kuscia.keySecret" . | nindent 4 }}
  rootless: {{ .Values.rootless }}
  {{- include "kuscia.extraConfigSecret" . | nindent 2 }}
  {{- if .Values.extraConfigSecret }}
  {{- include "kuscia.extraConfigRefused" . | nindent 2 }}
  {{- end }}
  ledger: {{ include "kuscia.ledgerName" . }}
  datastore:
    {{- include "master.datastore" . | nindent 4 }}
{{- end -}}

{{/* The name of the Secret with the datastore password; empty for sqlite. */}}
{{- define "master.datastoreSecret" -}}
{{- if ne .Values.datastore.type "sqlite" -}}
{{- .Values.datastore.existingSecret -}}
{{- end -}}
{{- end -}}

{{/*
The Secret for the deploy token of a domain: {id, domain}. Empty for a domain that is admitted by its certificate, unless a
reader is set as well.
*/}}
{{- define "master.tokenSecret" -}}
{{- if or (not .domain.cert) (get (.domain.reader | default dict) "namespace") -}}
{{- include "kuscia.tokenSecretName" .id -}}
{{- end -}}
{{- end -}}

{{- define "master.registerConfig" -}}
{{ include "kuscia.stepConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
owner:
  service: {{ include "kuscia.fullname" . }}
labels:
  {{- include "kuscia.derivedLabels" . | nindent 2 }}
domains:
  {{- if not .Values.domains }} {}{{ end }}
  {{- range $id, $domain := .Values.domains }}
  {{ $id | quote }}:
    tokenSecret: {{ include "master.tokenSecret" (dict "id" $id "domain" $domain) | default nil | toJson }}
    cert: {{ $domain.cert | default nil | toJson }}
    allowRekey: {{ $domain.allowRekey | default false }}
  {{- end }}
adopt: {{ .Values.adopt.domains }}
prune: {{ .Values.prune.domains }}
{{- end -}}

{{- define "master.routesConfig" -}}
{{ include "kuscia.stepConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
labels:
  {{- include "kuscia.derivedLabels" . | nindent 2 }}
domains:
  {{- if not .Values.domains }} {}{{ end }}
  {{- range $id, $domain := .Values.domains }}
  {{ $id | quote }}:
    endpoint: {{ $domain.endpoint | default nil | toJson }}
  {{- end }}
{{- if kindIs "string" .Values.routes }}
routes: {{ .Values.routes }}
{{- else }}
routes:
  {{- .Values.routes | default list | toYaml | nindent 2 }}
{{- end }}
appImages:
  {{- $images := dict }}
  {{- range $name, $app := .Values.appImages }}
  {{- if $app }}
  {{- $image := mergeOverwrite (deepCopy $app.image) (dict
    "name" (include "kuscia.repository" (dict "ctx" $ "name" $app.image.name))
    "tag" (toString $app.image.tag)) }}
  {{- $_ := set $images $name (dict
    "image" $image
    "config_templates" ($app.configTemplates | default dict)
    "deploy_templates" ($app.deployTemplates | default list)) }}
  {{- end }}
  {{- end }}
  {{- toYaml $images | nindent 2 }}
adopt:
  {{- pick .Values.adopt "routes" "appImages" | toYaml | nindent 2 }}
prune:
  {{- pick .Values.prune "routes" "appImages" | toYaml | nindent 2 }}
{{- end -}}

{{- define "master.checkConfig" -}}
mode: master
{{ include "kuscia.stepConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
gateway: {{ include "kuscia.gateway" . }}
domains: {{ keys .Values.domains | sortAlpha | toJson }}
routes:
  {{- $pairs := include "master.routePairs" . | trim }}
  {{- if $pairs }}
  {{- $pairs | nindent 2 }}
  {{- else }} []{{ end }}
datastore:
  {{- include "master.datastore" . | nindent 2 }}
exampleJob:
  {{- if .Values.exampleJob.enabled }}
  {{- omit .Values.exampleJob "enabled" | toYaml | nindent 2 }}
  {{- else }} null{{ end }}
{{- end -}}

{{- define "master.doctorConfig" -}}
{{ include "kuscia.doctorConfig" . }}
domains:
  {{- if not .Values.domains }} {}{{ end }}
  {{- range $id, $domain := .Values.domains }}
  {{ $id | quote }}:
    endpoint: {{ $domain.endpoint | default nil | toJson }}
    namespace: {{ get ($domain.reader | default dict) "namespace" | default nil | toJson }}
  {{- end }}
routes:
  {{- $pairs := include "master.routePairs" . | trim }}
  {{- if $pairs }}
  {{- $pairs | nindent 2 }}
  {{- else }} []{{ end }}
datastore:
  {{- include "master.datastore" . | nindent 2 }}
invitation:
  external: {{ include "master.external" . | fromYaml | default nil | toJson }}
  chartVersion: {{ .Chart.Version | quote }}
  images:
    {{- include "kuscia.images" . | fromJsonArray | toYaml | nindent 4 }}
{{- end -}}

{{/* How partners outside the cluster reach the gateway, as YAML; empty if they cannot. */}}
{{- define "master.external" -}}
{{- if .Values.ingress.enabled -}}
type: Ingress
url: {{ include "kuscia.ingressEndpoint" . | quote }}
{{- else if .Values.service.external.enabled -}}
type: {{ .Values.service.external.type }}
service: {{ include "kuscia.fullname" . }}-external
{{- end -}}
{{- end -}}

{{/*
The default timeout of `routes` in seconds: one more for every 10 routes. A master creates 19 to 56 routes per second (Kuscia
facts 16.3).
*/}}
{{- define "master.routesTimeout" -}}
{{- $count := 0 -}}
{{- if kindIs "string" .Values.routes -}}
{{- range .Values.domains }}
{{- if .endpoint }}{{ $count = add $count (sub (len $.Values.domains) 1) }}{{ end }}
{{- end -}}
{{- else -}}
{{- $count = len (.Values.routes | default list) -}}
{{- end -}}
{{- add (int .Values.jobs.timeoutSeconds) (div $count 10) -}}
{{- end -}}

{{/* The routes that must become READY, one `- [source, destination]` per line. */}}
{{- define "master.routePairs" -}}
{{- if kindIs "string" .Values.routes -}}
{{- $domains := .Values.domains -}}
{{- range $source, $_ := $domains }}
{{- range $destination, $domain := $domains }}
{{- if and (ne $source $destination) $domain.endpoint }}
- [{{ $source | quote }}, {{ $destination | quote }}]
{{- end }}
{{- end }}
{{- end }}
{{- else -}}
{{- range .Values.routes }}
- [{{ .source | quote }}, {{ .destination | quote }}]
{{- end }}
{{- end -}}
{{- end -}}
