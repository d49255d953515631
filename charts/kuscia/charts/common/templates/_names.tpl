{{/*
Names. Unless stated otherwise, a template takes the context of a subchart (`.`); its chart name is the component, master
or lite.
*/}}

{{/*
The name of a component in a release, and the start of the names of its objects. It is a host name, so it starts with a
letter and has no dots. It has at most 42 characters: the CronJob `<fullname>-reconcile` (10 more) must
stay within 52, the Job `<fullname>-register-<10 hex>` (20 more) and the pods of the Deployment (17 more) within 63. A longer
name is cut and gets a hash, so that it stays unique.
*/}}
{{- define "kuscia.fullname" -}}
{{- $base := ternary "kuscia-master" (printf "kuscia-lite-%v" .Values.domainId) (eq .Chart.Name "master") -}}
{{- $base = .Values.nameOverride | default $base -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- $name := printf "%s-%s" $release $base -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if eq $release "kuscia" -}}
{{- $name = $base -}}
{{- else if regexMatch "^[0-9]" $release -}}
{{- $name = printf "kuscia-%s-%s" $release (trimPrefix "kuscia-" $base) -}}
{{- end -}}
{{- if gt (len $name) 42 -}}
{{- $name = printf "%s-%s" ($name | trunc 33 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The ServiceAccount of Kuscia and of `prepare`. */}}
{{- define "kuscia.serviceAccountName" -}}
{{- (.Values.serviceAccount).name | default (include "kuscia.fullname" .) -}}
{{- end -}}

{{/* The full host name of the Service. It includes the cluster domain: Kuscia resolves names in `.svc` to itself. */}}
{{- define "kuscia.host" -}}
{{- printf "%s.%s.svc.%s" (include "kuscia.fullname" .) .Release.Namespace .Values.global.kuscia.clusterDomain -}}
{{- end -}}

{{- define "kuscia.keySecretName" -}}
{{- .Values.key.existingSecret | default (printf "%s-domain-key" (include "kuscia.fullname" .)) -}}
{{- end -}}

{{/*
The Secret with the deploy token of a domain: {master, domain}; `master` is the name of the master. It starts with that
name, since several masters can share a namespace, and with `kuscia` for the default name.
*/}}
{{- define "kuscia.tokenSecretName" -}}
{{- include "kuscia.args" (list "kuscia.tokenSecretName" "master domain" .) -}}
{{- printf "%s-deploy-token-%s" (ternary "kuscia" .master (eq .master "kuscia-master")) .domain -}}
{{- end -}}

{{- define "kuscia.ledgerName" -}}
{{- printf "%s-ledger" (include "kuscia.fullname" .) -}}
{{- end -}}
