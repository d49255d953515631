{{/*
The repository of an image including its registry: {ctx, name}. A name that starts with a registry host (contains a dot
or a port, or is localhost) is used unchanged; other names are prefixed with global.kuscia.imageRegistry, or if it is null, with
global.imageRegistry, which a parent chart may set for all its charts, or with the registry of Kuscia's project.
*/}}
{{- define "kuscia.repository" -}}
{{- include "kuscia.args" (list "kuscia.repository" "ctx name" .) -}}
{{- $first := first (splitList "/" .name) -}}
{{- $hasHost := and (contains "/" .name) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- $global := .ctx.Values.global -}}
{{- $registry := $global.kuscia.imageRegistry -}}
{{- if kindIs "invalid" $registry -}}
{{- $registry = $global.imageRegistry | default "secretflow-registry.cn-hangzhou.cr.aliyuncs.com" -}}
{{- end -}}
{{- if or $hasHost (not $registry) -}}
{{- .name -}}
{{- else -}}
{{- printf "%s/%s" (trimSuffix "/" $registry) .name -}}
{{- end -}}
{{- end -}}

{{/* An image reference: {ctx, image}. The digest takes precedence over the tag. */}}
{{- define "kuscia.image" -}}
{{- include "kuscia.args" (list "kuscia.image" "ctx image" .) -}}
{{- $repository := include "kuscia.repository" (dict "ctx" .ctx "name" .image.repository) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (toString .image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
The image of the steps: {ctx, init?}. Its default tag is the chart's version. With `init`, it is the version that last changed
the init containers of Kuscia, `prepare` and `seed`: another image restarts Kuscia, and a new chart version alone must not.
Raise it when one of them changes.
*/}}
{{- define "kuscia.hooksImage" -}}
{{- include "kuscia.args" (list "kuscia.hooksImage" "ctx init?" .) -}}
{{- $image := .ctx.Values.global.kuscia.hooksImage -}}
{{- $tag := $image.tag | default (ternary "0.1.0" .ctx.Chart.Version (.init | default false)) -}}
{{- include "kuscia.image" (dict "ctx" .ctx "image" (mergeOverwrite (dict) $image (dict "tag" $tag))) -}}
{{- end -}}

{{/*
The imagePullSecrets of a pod, or empty. Entries of the values are names or mappings with the key `name`. Takes the context of
the component.
*/}}
{{- define "kuscia.pullSecrets" -}}
{{- $secrets := .Values.global.kuscia.imagePullSecrets | default .Values.global.imagePullSecrets -}}
{{- range $secrets }}
- name: {{ ternary (get (ternary . dict (kindIs "map" .)) "name") . (kindIs "map" .) | quote }}
{{- end -}}
{{- end -}}

{{/*
All images of a component, as a JSON list: Kuscia, the steps, containers of the user, the engines of a master. Takes its
context.
*/}}
{{- define "kuscia.images" -}}
{{- $images := list
  (include "kuscia.image" (dict "ctx" . "image" .Values.image))
  (include "kuscia.hooksImage" (dict "ctx" .))
  (include "kuscia.hooksImage" (dict "ctx" . "init" true)) -}}
{{- range concat (.Values.extraInitContainers | default list) (.Values.extraContainers | default list) -}}
{{- $images = append $images (get . "image") -}}
{{- end -}}
{{- range $name, $app := .Values.appImages | default dict -}}
{{- if $app -}}
{{- $repository := include "kuscia.repository" (dict "ctx" $ "name" $app.image.name) -}}
{{- $images = append $images (printf "%s:%s" $repository (toString $app.image.tag)) -}}
{{- end -}}
{{- end -}}
{{- $images | compact | uniq | toJson -}}
{{- end -}}
