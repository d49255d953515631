{{/* A PersistentVolumeClaim that outlives the release: {ctx, suffix}. */}}
{{- define "kuscia.claim" -}}
{{- $persistence := .ctx.Values.persistence -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "kuscia.claimName" .ctx }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .ctx) | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    {{- with $persistence.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
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
