{{/*
The keys of kuscia.yaml (Kuscia facts 2), as YAML: keys that extraConfig can set, and keys that have a dedicated value, with
an example of that value under `lite`.
*/}}
{{- define "lite.configKeys" -}}
known: [logLevel, logrotate, debug, debugPort, kusciaAPISans, garbageCollection, reservedResources, image, dataMesh, confManager, agent, runk]
dedicated:
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

{{/* The gateway of the master, and the CA certificates that verify it, as JSON. */}}
{{- define "lite.masterConfig" -}}
{{- $master := dict "endpoint" .Values.master.endpoint -}}
{{- with .Values.master.caBundle -}}
{{- if or .configMap .secret -}}
{{- $_ := set $master "caBundle" (dict
  "kind" (ternary "Secret" "ConfigMap" (not (empty .secret)))
  "name" (.secret | default .configMap)
  "key" .key) -}}
{{- end -}}
{{- end -}}
{{- toJson $master -}}
{{- end -}}

{{/*
The Secret with the deploy token, as JSON; empty if the domain is admitted by its certificate. The default namespace is that
of the release. The default name follows that of the master, which is in the endpoint if that is a Service.
*/}}
{{- define "lite.deployToken" -}}
{{- $master := .Values.master -}}
{{- if or $master.namespace $master.tokenSecret -}}
{{- $namespace := $master.namespace | default .Release.Namespace -}}
{{- $service := regexFind (printf "^https?://[^./]+\\.%s\\.svc\\." $namespace) $master.endpoint -}}
{{- $name := regexReplaceAll "^https?://|\\..*$" $service "" | default "kuscia-master" -}}
{{- dict
  "namespace" $namespace
  "name" ($master.tokenSecret | default (include "kuscia.tokenSecretName" (dict "master" $name "domain" .Values.domainId)))
  "key" $master.tokenKey
  | toJson -}}
{{- end -}}
{{- end -}}

{{/* The data of the ConfigMap that `prepare` and `seed` read. */}}
{{- define "lite.configData" -}}
{{- $runk := .Values.runk -}}
{{- $own := dict "masterEndpoint" .Values.master.endpoint "runtime" .Values.runtime -}}
{{- $capacity := include "kuscia.given" .Values.capacity | fromJson -}}
{{- range $key, $value := $capacity -}}
{{- $_ := set $capacity $key (include "kuscia.number" $value) -}}
{{- end -}}
{{- with $capacity -}}
{{- $_ := set $own "capacity" . -}}
{{- end -}}
{{- if eq .Values.runtime "runk" -}}
{{- $_ := set $own "runk" (dict
  "namespace" (include "lite.engineNamespace" .)
  "dnsServers" ($runk.dnsServers | default list)
  "kubeconfigFile" (ternary "/etc/kuscia-runk/kubeconfig" "" (not (empty $runk.kubeconfigSecret)))
  "enableLogging" $runk.enableLogging) -}}
{{- /* The settings of engine pods (Kuscia facts 2.3). */ -}}
{{- $pods := dict -}}
{{- range $key, $value := dict
  "labelsToAdd" $runk.podLabels
  "annotationsToAdd" $runk.podAnnotations
  "affinitiesToAdd" $runk.affinity
  "runtimeClassName" $runk.runtimeClassName -}}
{{- with $value -}}
{{- $_ := set $pods $key . -}}
{{- end -}}
{{- end -}}
{{- with $pods -}}
{{- $_ := set $own "agent" (dict "provider" (dict "k8s" .)) -}}
{{- end -}}
{{- end -}}
{{- $prepare := dict "master" (include "lite.masterConfig" . | fromJson) -}}
{{- with include "lite.deployToken" . -}}
{{- $_ := set $prepare "deployToken" (fromJson .) -}}
{{- end -}}
{{- if eq .Values.runtime "runk" -}}
{{- $engines := dict
  "namespace" (include "lite.engineNamespace" .)
  "lite" (printf "%s/%s" .Release.Namespace (include "kuscia.fullname" .)) -}}
{{- if include "lite.hasKubeconfig" . -}}
{{- $_ := set $engines "kubeconfigSecret" (dict "name" .Values.runk.kubeconfigSecret "key" .Values.runk.kubeconfigSecretKey) -}}
{{- end -}}
{{- $_ := set $prepare "engines" $engines -}}
{{- if not .Values.runk.dnsServers -}}
{{- $_ := set $prepare "dnsService" (include "kuscia.host" .) -}}
{{- end -}}
{{- end -}}
kuscia.yaml: |
  {{- include "kuscia.baseConfig" (dict "ctx" . "own" $own) | nindent 2 }}
prepare.yaml: |
  {{- merge $prepare (include "kuscia.prepareConfig" . | fromJson) | toYaml | nindent 2 }}
{{- if include "lite.hasLocalTables" . }}
{{- $tables := list }}
{{- range include "lite.tables" . | fromJsonArray }}
{{- $tables = append $tables (pick . "id" "name" "relativeUri" "example" "url" "file" "sha256" "size") }}
{{- end }}
seed.yaml: |
  {{- dict "path" .Values.data.source.path "tables" $tables | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The tables in the configuration of a step, as JSON. The file of a claim is under /tables in the pod. */}}
{{- define "lite.tables" -}}
{{- $tables := list -}}
{{- range .Values.data.tables -}}
{{- $table := include "kuscia.given" (omit . "claim" "urlSecret") | fromJson -}}
{{- $_ := set $table "name" ($table.name | default $table.relativeUri) -}}
{{- with .claim -}}
{{- $_ := set $table "file" (printf "/tables/%s/%s" .name .path) -}}
{{- end -}}
{{- with .urlSecret -}}
{{- $_ := set $table "urlCredentialsSecret" (dict "name" .) -}}
{{- end -}}
{{- $tables = append $tables $table -}}
{{- end -}}
{{- toJson $tables -}}
{{- end -}}

{{- define "lite.dataConfig" -}}
{{- dict
  "labels" (include "kuscia.derivedLabels" . | fromYaml)
  "source" (include "kuscia.given" .Values.data.source | fromJson)
  "tables" (include "lite.tables" . | fromJsonArray)
  "grants" (.Values.data.grants | default list)
  "prune" .Values.data.prune
  "adopt" .Values.data.adopt
  | merge (include "kuscia.apiStepConfig" . | fromJson) | toYaml -}}
{{- end -}}
