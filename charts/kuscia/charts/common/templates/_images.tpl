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

{{/* imagePullSecrets for a pod spec. */}}
{{- define "kuscia.imagePullSecrets" -}}
{{- with .Values.global.kuscia.imagePullSecrets -}}
imagePullSecrets:
{{- range include "kuscia.pullSecretNames" . | fromJsonArray }}
  - name: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The names in a list of pull secrets, as JSON; entries may be plain names or {name}. */}}
{{- define "kuscia.pullSecretNames" -}}
{{- $names := list -}}
{{- range . -}}
{{- $names = append $names (ternary (get (ternary . dict (kindIs "map" .)) "name") . (kindIs "map" .)) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
