{{- define "kuscia.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "kuscia.fullname" .)) -}}
{{- end -}}

{{/*
"true" if the chart creates a claim for the component: for a master with sqlite, and for a lite whose engines use local
files.
*/}}
{{- define "kuscia.ownsClaim" -}}
{{- $persistence := .Values.persistence -}}
{{- $needed := false -}}
{{- if eq .Chart.Name "master" -}}
{{- $needed = eq .Values.datastore.type "sqlite" -}}
{{- else -}}
{{- $needed = ne .Values.runtime "runk" -}}
{{- end -}}
{{- if and $needed $persistence.enabled (not $persistence.existingClaim) -}}true{{- end -}}
{{- end -}}
