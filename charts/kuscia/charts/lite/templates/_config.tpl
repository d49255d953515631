{{- define "lite.isRunk" -}}
{{- if eq .Values.runtime "runk" -}}true{{- end -}}
{{- end -}}

{{/* Where RunK makes engine pods. */}}
{{- define "lite.engineNamespace" -}}
{{- .Values.runk.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "lite.hasKubeconfig" -}}
{{- if and (include "lite.isRunk" .) .Values.runk.kubeconfigSecret -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the kubeconfig for engine pods; empty where there is none. */}}
{{- define "lite.kubeconfigSecret" -}}
{{- if include "lite.hasKubeconfig" . -}}{{ .Values.runk.kubeconfigSecret }}{{- end -}}
{{- end -}}

{{/* Where `prepare` puts the kubeconfig for Kuscia. */}}
{{- define "lite.kubeconfigPath" -}}
{{- if include "lite.hasKubeconfig" . -}}/etc/kuscia-runk/kubeconfig{{- end -}}
{{- end -}}

{{/* The pull secrets that engine pods need: names as JSON. */}}
{{- define "lite.enginePullSecrets" -}}
{{- if kindIs "invalid" .Values.runk.imagePullSecrets -}}
{{- include "kuscia.pullSecretNames" .Values.global.kuscia.imagePullSecrets -}}
{{- else -}}
{{- include "kuscia.pullSecretNames" .Values.runk.imagePullSecrets -}}
{{- end -}}
{{- end -}}

{{/* What RunK adds to engine pods: agent.provider.k8s of kuscia.yaml (Kuscia facts 2.3). */}}
{{- define "lite.enginePods" -}}
{{- $runk := .Values.runk -}}
{{- with $runk.podLabels }}
labelsToAdd:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $runk.podAnnotations }}
annotationsToAdd:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $runk.affinity }}
affinitiesToAdd:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $runk.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The ConfigMap that says whose engines run in a namespace. */}}
{{- define "lite.enginesMarker" -}}kuscia-engines{{- end -}}

{{/* The namespace where engines run, as `prepare` and `check` look at it. */}}
{{- define "lite.engines" -}}
namespace: {{ include "lite.engineNamespace" . }}
lite: {{ .Release.Namespace }}/{{ include "kuscia.fullname" . }}
{{- if include "lite.hasKubeconfig" . }}
kubeconfigSecret:
  name: {{ .Values.runk.kubeconfigSecret }}
  key: {{ .Values.runk.kubeconfigSecretKey }}
{{- else }}
kubeconfigSecret: null
{{- end }}
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
{{- with include "lite.enginePods" . | trim }}
agent:
  provider:
    k8s:
      {{- . | nindent 6 }}
{{- end }}
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
  {{- if include "lite.isRunk" . }}
  engines:
    {{- include "lite.engines" . | nindent 4 }}
  {{- else }}
  engines: null
  {{- end }}
{{- end -}}

{{- define "lite.dataConfig" -}}
{{ include "kuscia.verbConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
labels:
  {{- include "kuscia.derivedLabels" . | nindent 2 }}
source:
  {{- .Values.data.source | toYaml | nindent 2 }}
{{- $tables := list }}
{{- range .Values.data.tables }}
{{- $tables = append $tables (merge (dict "name" (.name | default .relativeUri)) .) }}
{{- end }}
tables:
  {{- toYaml $tables | nindent 2 }}
grants:
  {{- .Values.data.grants | default list | toYaml | nindent 2 }}
{{- end -}}

{{- define "lite.checkConfig" -}}
mode: lite
{{ include "kuscia.verbConfig" . }}
gateway: {{ include "kuscia.gateway" . }}
master:
  endpoint: {{ .Values.master.endpoint }}
{{- $tables := list }}
{{- range .Values.data.tables }}
{{- $tables = append $tables .id }}
{{- end }}
tables: {{ $tables | toJson }}
results: {{ .Values.data.results | default list | toJson }}
{{- if include "lite.isRunk" . }}
engines:
  {{- include "lite.engines" . | nindent 2 }}
  pullSecrets: {{ include "lite.enginePullSecrets" . }}
  {{- if not .Values.runk.dnsServers }}
  dnsService: {{ include "kuscia.fullname" . }}
  {{- else }}
  dnsService: null
  {{- end }}
{{- else }}
engines: null
{{- end }}
{{- end -}}
