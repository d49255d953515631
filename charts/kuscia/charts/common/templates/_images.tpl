{{/*
An image's repository with its registry: {ctx, name}. A name whose first part is a registry host (it has a dot or a
port, or is localhost) stands as it is; any other gets global.kuscia.imageRegistry.
*/}}
{{- define "kuscia.repository" -}}
{{- $first := first (splitList "/" .name) -}}
{{- $hasHost := and (contains "/" .name) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $registry := .ctx.Values.global.kuscia.imageRegistry -}}
{{- if or $hasHost (not $registry) -}}
{{- .name -}}
{{- else -}}
{{- printf "%s/%s" (trimSuffix "/" $registry) .name -}}
{{- end -}}
{{- end -}}

{{/* An image reference: {ctx, image}. The digest wins over the tag. */}}
{{- define "kuscia.image" -}}
{{- $repository := include "kuscia.repository" (dict "ctx" .ctx "name" .image.repository) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (toString .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* imagePullSecrets for a pod spec; entries may be plain names or {name}. */}}
{{- define "kuscia.imagePullSecrets" -}}
{{- with .Values.global.kuscia.imagePullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- end -}}
{{- end -}}
