{{/*
Sets the values that refer to the other component of the release, if they are empty: in a lite, the gateway of the master
and the namespace of the deploy token; in a master, endpoint and reader of the domain with `sameRelease`. A subchart cannot
read the values of the other one, so these are the names of a component without overrides; kuscia.validate.release compares
them, by `kusciaDefaults`. Takes the context of the component.
*/}}
{{- define "kuscia.setReleaseDefaults" -}}
{{- $set := dict -}}
{{- $values := pick .Values "protocol" "global" -}}
{{- if eq .Chart.Name "master" -}}
{{- range $id, $domain := .Values.domains -}}
{{- if and $domain $domain.sameRelease -}}
{{- $lite := dict "Chart" (dict "Name" "lite") "Release" $.Release "Values" (merge (dict "domainId" $id) $values) -}}
{{- $reader := $domain.reader | default dict -}}
{{- $account := $reader.serviceAccount | default (include "kuscia.fullname" $lite) -}}
{{- if not $reader.serviceAccount -}}
{{- $_ := set $set (printf "master.domains.%s.reader.serviceAccount" $id) $account -}}
{{- end -}}
{{- $_ := set $domain "reader" (dict "namespace" ($reader.namespace | default $.Release.Namespace) "serviceAccount" $account) -}}
{{- if not $domain.endpoint -}}
{{- $_ := set $domain "endpoint" (include "kuscia.gateway" $lite) -}}
{{- $_ := set $set (printf "master.domains.%s.endpoint" $id) $domain.endpoint -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- else if not .Values.master.endpoint -}}
{{- $master := dict "Chart" (dict "Name" "master") "Release" .Release "Values" $values -}}
{{- $_ := set .Values.master "endpoint" (include "kuscia.gateway" $master) -}}
{{- $_ := set .Values.master "namespace" (.Values.master.namespace | default .Release.Namespace) -}}
{{- $_ := set $set "lite.master.endpoint" .Values.master.endpoint -}}
{{- end -}}
{{- $_ := set . "kusciaDefaults" $set -}}
{{- end -}}
