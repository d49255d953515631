{{/* A PersistentVolumeClaim that is kept on uninstall. */}}
{{- define "kuscia.claim" -}}
{{- $persistence := .Values.persistence -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "kuscia.claimName" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .) | nindent 4 }}
  annotations:
    {{- mergeOverwrite (dict "helm.sh/resource-policy" "keep") ($persistence.annotations | default dict) | toYaml | nindent 4 }}
spec:
  accessModes:
    {{- toYaml $persistence.accessModes | nindent 4 }}
  {{- with $persistence.storageClass }}
  storageClassName: {{ ternary "" . (eq . "-") | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ $persistence.size }}
{{- end -}}

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
