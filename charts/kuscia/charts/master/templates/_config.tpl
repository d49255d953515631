{{/*
The keys of kuscia.yaml (Kuscia facts 2), as YAML: keys that extraConfig can set, and keys that have a dedicated value, with
an example of that value under `master`.
*/}}
{{- define "master.configKeys" -}}
known: [logLevel, logrotate, debug, debugPort, kusciaAPISans, garbageCollection, clusterToken, enableWorkloadApprove, domainRoute]
dedicated:
  mode: "enabled: true"
  domainID: "domainId: kuscia-system"
  protocol: "protocol: TLS"
{{- end -}}

{{/* The data of the ConfigMap that `prepare` reads. */}}
{{- define "master.configData" -}}
{{- $prepare := dict "ledger" (include "kuscia.ledgerName" .) "datastore" (include "master.datastore" . | fromJson) -}}
kuscia.yaml: |
  {{- include "kuscia.baseConfig" (dict "ctx" . "own" dict) | nindent 2 }}
prepare.yaml: |
  {{- merge $prepare (include "kuscia.prepareConfig" . | fromJson) | toYaml | nindent 2 }}
{{- end -}}

{{/* The datastore in the configuration of `prepare`, `check` and `doctor`, as JSON. */}}
{{- define "master.datastore" -}}
{{- $store := .Values.datastore -}}
{{- if eq $store.type "sqlite" -}}
{{- dict "type" $store.type "path" "/home/kuscia/var/k3s" | toJson -}}
{{- else -}}
{{- dict
  "type" $store.type
  "host" $store.host
  "port" ($store.port | default (ternary 3306 5432 (eq $store.type "mysql")) | int)
  "database" $store.database
  "user" $store.user
  "passwordSecret" (dict "name" $store.existingSecret "key" $store.existingSecretKey)
  "params" ($store.params | default dict)
  | toJson -}}
{{- end -}}
{{- end -}}

{{/*
The domains as in domains.yaml, as JSON: what any step needs of them. All steps mount this file next to their own, which
refers to it as `domainsFile`. null removes a domain of an earlier values file.
*/}}
{{- define "master.domains" -}}
{{- $domains := dict -}}
{{- range $id, $domain := .Values.domains -}}
{{- if not (kindIs "invalid" $domain) -}}
{{- /* A certificate admits a domain without a token, unless a reader is set as well. */ -}}
{{- $token := "" -}}
{{- if or (not $domain.cert) ($domain.reader).namespace -}}
{{- $token = include "kuscia.tokenSecretName" (dict "master" (include "kuscia.fullname" $) "domain" $id) -}}
{{- end -}}
{{- $_ := set $domains $id (dict
  "endpoint" $domain.endpoint
  "namespace" (get ($domain.reader | default dict) "namespace")
  "tokenSecret" $token
  "certFile" (ternary (printf "%s.crt" $id) "" (not (empty $domain.cert)))
  "allowRekey" ($domain.allowRekey | default nil)
  | include "kuscia.given" | fromJson) -}}
{{- end -}}
{{- end -}}
{{- toJson $domains -}}
{{- end -}}

{{/*
The certificates of the domains, as JSON: by ConfigMap, and in it by file. Only `register` reads them. An object can have 256
KiB for `kubectl apply`, so the first digit of the hash of its ID decides in which ConfigMap a domain is.
*/}}
{{- define "master.certificates" -}}
{{- $maps := dict -}}
{{- range $id, $domain := .Values.domains -}}
{{- with ($domain | default dict).cert -}}
{{- $name := printf "certificates-%s" (sha256sum $id | trunc 1) -}}
{{- $_ := set $maps $name (set (get $maps $name | default dict) (printf "%s.crt" $id) .) -}}
{{- end -}}
{{- end -}}
{{- toJson $maps -}}
{{- end -}}

{{- define "master.registerConfig" -}}
{{- dict
  "domainsFile" "domains.yaml"
  "owner" (dict "service" (include "kuscia.fullname" .))
  "labels" (include "kuscia.derivedLabels" . | fromYaml)
  "adopt" .Values.adopt.domains
  "prune" .Values.prune.domains
  | merge (include "kuscia.apiStepConfig" . | fromJson) | toYaml -}}
{{- end -}}

{{- define "master.routesConfig" -}}
{{- $images := dict -}}
{{- range $name, $app := .Values.appImages -}}
{{- if $app -}}
{{- $image := dict
  "name" (include "kuscia.repository" (dict "ctx" $ "name" $app.image.name))
  "tag" (toString $app.image.tag) -}}
{{- $_ := set $images $name (dict
  "image" (mergeOverwrite (deepCopy $app.image) $image)
  "config_templates" ($app.configTemplates | default dict)
  "deploy_templates" ($app.deployTemplates | default list)) -}}
{{- end -}}
{{- end -}}
{{- dict
  "domainsFile" "domains.yaml"
  "owner" (dict "service" (include "kuscia.fullname" .))
  "labels" (include "kuscia.derivedLabels" . | fromYaml)
  "appImages" $images
  "adopt" (pick .Values.adopt "routes" "appImages")
  "prune" (pick .Values.prune "routes" "appImages")
  | merge (include "kuscia.apiStepConfig" . | fromJson) | toYaml -}}
{{- end -}}

{{/*
The default timeout of `routes` in seconds: one more for every 10 routes. A master creates 19 to 56 routes per second (Kuscia
facts 16.3).
*/}}
{{- define "master.routesTimeout" -}}
{{- $count := 0 -}}
{{- if kindIs "string" .Values.routes -}}
{{- $domains := include "master.domains" . | fromJson -}}
{{- range $domains -}}
{{- if .endpoint -}}
{{- $count = add $count (sub (len $domains) 1) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $count = len (.Values.routes | default list) -}}
{{- end -}}
{{- add (int .Values.jobs.timeoutSeconds) (div $count 10) -}}
{{- end -}}
