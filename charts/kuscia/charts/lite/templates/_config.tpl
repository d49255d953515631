{{/* The keys of kuscia.yaml that have a dedicated value, with an example of that value under `lite`. */}}
{{- define "lite.ownedConfig" -}}
mode: "enabled: true"
domainID: "domainId: alice"
protocol: "protocol: TLS"
masterEndpoint: "master.endpoint: https://kuscia-master.kuscia-master.svc.cluster.local:1080"
runtime: "runtime: runk"
runk.namespace: "runk.namespace: alice-engines"
runk.dnsServers: "runk.dnsServers: [10.96.0.20]"
runk.kubeconfigFile: "runk.kubeconfigSecret: my-kubeconfig"
runk.enableLogging: "runk.enableLogging: true"
capacity: 'capacity: {cpu: "4", memory: 8Gi, storage: 100Gi}'
{{- end -}}

{{/* The keys of kuscia.yaml that extraConfig can set (Kuscia facts 2). */}}
{{- define "lite.knownConfig" -}}
[logLevel, logrotate, debug, debugPort, kusciaAPISans, garbageCollection, reservedResources, image, dataMesh, confManager, agent, runk]
{{- end -}}

{{- define "lite.isRunk" -}}
{{- if eq .Values.runtime "runk" -}}true{{- end -}}
{{- end -}}

{{- define "lite.dataMount" -}}
- name: data
  mountPath: {{ include "lite.dataPath" . }}
{{- end -}}

{{/* The directory for local data (Kuscia facts 1.7). */}}
{{- define "lite.dataPath" -}}/home/kuscia/var/storage{{- end -}}

{{/* "true" if the tables are files in the pod of the lite. */}}
{{- define "lite.hasLocalTables" -}}
{{- if and .Values.data.tables (eq (toString .Values.data.source.type) "localfs") -}}true{{- end -}}
{{- end -}}

{{/*
"true" if the pod of `helm test` can read these files. It cannot mount a ReadWriteOncePod volume or an emptyDir.
*/}}
{{- define "lite.checkSeesFiles" -}}
{{- $persistence := .Values.persistence -}}
{{- if and (include "lite.hasLocalTables" .) $persistence.enabled (not (has "ReadWriteOncePod" $persistence.accessModes)) -}}true{{- end -}}
{{- end -}}

{{/* The podAffinity of a step that mounts a volume of the lite: most volumes can be mounted on one node at a time. */}}
{{- define "lite.affinityToLite" -}}
requiredDuringSchedulingIgnoredDuringExecution:
  - labelSelector:
      matchLabels:
        {{- include "kuscia.selectorLabels" . | nindent 8 }}
    topologyKey: kubernetes.io/hostname
{{- end -}}

{{/* The namespace in which RunK creates engine pods. */}}
{{- define "lite.engineNamespace" -}}
{{- .Values.runk.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "lite.hasKubeconfig" -}}
{{- if and (include "lite.isRunk" .) .Values.runk.kubeconfigSecret -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the kubeconfig for engine pods, or empty. */}}
{{- define "lite.kubeconfigSecret" -}}
{{- if include "lite.hasKubeconfig" . -}}{{ .Values.runk.kubeconfigSecret }}{{- end -}}
{{- end -}}

{{/* The file to which `prepare` writes the kubeconfig for Kuscia, or empty. */}}
{{- define "lite.kubeconfigPath" -}}
{{- if include "lite.hasKubeconfig" . -}}/etc/kuscia-runk/kubeconfig{{- end -}}
{{- end -}}

{{/* The names of the pull secrets for engine pods, as JSON. */}}
{{- define "lite.enginePullSecrets" -}}
{{- if kindIs "invalid" .Values.runk.imagePullSecrets -}}
{{- include "kuscia.pullSecretNames" .Values.global.kuscia.imagePullSecrets -}}
{{- else -}}
{{- include "kuscia.pullSecretNames" .Values.runk.imagePullSecrets -}}
{{- end -}}
{{- end -}}

{{/* The settings of engine pods: agent.provider.k8s in kuscia.yaml (Kuscia facts 2.3). */}}
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

{{/* The ConfigMap that names the lite that owns an engine namespace. */}}
{{- define "lite.enginesMarker" -}}kuscia-engines{{- end -}}

{{/* The engine namespace in the configuration of `prepare` and `check`. */}}
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

{{/* The keys of kuscia.yaml for a lite. */}}
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
{{- $capacity := dict }}
{{- range $key, $value := .Values.capacity }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $capacity $key (include "kuscia.number" $value) }}
{{- end }}
{{- end }}
{{- with $capacity }}
capacity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The Secret with the deploy token; empty if the domain is admitted by its certificate. The default namespace is that of the
release.
*/}}
{{- define "lite.deployToken" -}}
{{- $master := .Values.master -}}
{{- if or $master.namespace $master.tokenSecret -}}
namespace: {{ $master.namespace | default .Release.Namespace }}
name: {{ $master.tokenSecret | default (include "kuscia.tokenSecretName" .Values.domainId) }}
key: {{ $master.tokenKey }}
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap that `prepare` and `seed` read. */}}
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
  {{- include "kuscia.extraConfigSecret" . | nindent 2 }}
  {{- if .Values.extraConfigSecret }}
  {{- include "kuscia.extraConfigRefused" . | nindent 2 }}
  {{- end }}
  master:
    {{- include "lite.masterConfig" . | nindent 4 }}
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
{{- if include "lite.hasLocalTables" . }}
seed.yaml: |
  path: {{ .Values.data.source.path }}
  tables:
    {{- $tables := list }}
    {{- range include "lite.tables" . | fromYamlArray }}
    {{- $tables = append $tables (pick . "id" "name" "relativeUri" "example" "url" "file" "sha256" "size") }}
    {{- end }}
    {{- toYaml $tables | nindent 4 }}
{{- end }}
{{- end -}}

{{/* "true" if the `data` step has anything to do. */}}
{{- define "lite.hasData" -}}
{{- if or .Values.data.tables .Values.data.prune -}}true{{- end -}}
{{- end -}}

{{/* The tables in the configuration of a step. The file of a claim is under /tables in the pod. */}}
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

{{/* The names of the claims that contain tables, as JSON. */}}
{{- define "lite.tableClaims" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .claim }}{{- $names = append $names .name }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{/* The names of the Secrets for table URLs, as JSON. */}}
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

{{/*
What identifies the state that `data` writes to and that its configuration does not name: the master that stores the
declarations, and the volume of local tables.
*/}}
{{- define "lite.dataState" -}}
master: {{ .Values.master.endpoint | quote }}
{{- if and (include "lite.hasLocalTables" .) .Values.persistence.enabled }}
claim: {{ include "kuscia.claimName" . }}
{{- end }}
{{- end -}}

{{- define "lite.dataConfig" -}}
{{ include "kuscia.stepConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
labels:
  {{- include "kuscia.derivedLabels" . | nindent 2 }}
source:
  {{- $source := dict }}
  {{- range $key, $value := .Values.data.source }}
  {{- if not (kindIs "invalid" $value) }}
  {{- $_ := set $source $key $value }}
  {{- end }}
  {{- end }}
  {{- toYaml $source | nindent 2 }}
tables:
  {{- include "lite.tables" . | nindent 2 }}
grants:
  {{- .Values.data.grants | default list | toYaml | nindent 2 }}
prune: {{ .Values.data.prune }}
adopt: {{ .Values.data.adopt }}
{{- end -}}

{{/* The name of the Secret with the access key of an oss data source, or empty. */}}
{{- define "lite.sourceSecret" -}}
{{- if and (include "lite.hasData" .) (eq .Values.data.source.type "oss") -}}
{{- .Values.data.source.credentialsSecret.name -}}
{{- end -}}
{{- end -}}

{{- define "lite.checkConfig" -}}
mode: lite
{{ include "kuscia.stepConfig" . }}
ledger: {{ include "kuscia.ledgerName" . }}
gateway: {{ include "kuscia.gateway" . }}
{{- if include "lite.checkSeesFiles" . }}
volume: {{ include "lite.dataPath" . }}
{{- end }}
master:
  {{- include "lite.masterConfig" . | nindent 2 }}
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

{{/* The gateway of the master, and the CA certificates that verify it. */}}
{{- define "lite.masterConfig" -}}
endpoint: {{ .Values.master.endpoint }}
{{- with .Values.master.caBundle }}
{{- if or .configMap .secret }}
caBundle:
  kind: {{ ternary "Secret" "ConfigMap" (not (empty .secret)) }}
  name: {{ .secret | default .configMap | quote }}
  key: {{ .key | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Permission to read these CA certificates. */}}
{{- define "lite.rule.caBundle" -}}
{{- $bundle := .Values.master.caBundle | default dict -}}
{{- include "kuscia.rule.readSecrets" (list $bundle.secret) }}
{{- include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (ternary "" $bundle.configMap (not (empty $bundle.secret)))) "allow" (list "get")) }}
{{- end -}}

{{- define "lite.doctorConfig" -}}
{{ include "kuscia.doctorConfig" . }}
master:
  {{- include "lite.masterConfig" . | nindent 2 }}
engines:
  {{- $here := and (include "lite.isRunk" .) (not .Values.runk.kubeconfigSecret) }}
  namespace: {{ ternary (include "lite.engineNamespace" .) nil (not (empty $here)) | toJson }}
  keepsLogs: {{ or (ne .Values.runtime "runk") .Values.runk.enableLogging }}
  {{- with .Values.capacity }}
  capacity:
    {{- range $name, $amount := . }}
    {{ $name }}: {{ include "kuscia.number" $amount | quote }}
    {{- end }}
  {{- end }}
{{- $partners := list }}
{{- range .Values.data.grants }}
{{- $partners = append $partners .domain }}
{{- end }}
partners: {{ $partners | uniq | sortAlpha | toJson }}
{{- end -}}
