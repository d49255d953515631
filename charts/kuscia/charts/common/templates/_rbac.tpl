{{/* Rules of Roles. */}}

{{/*
Permissions on named objects: {resources, names, allow}, all lists. Empty names are omitted. Without a name it renders
nothing: an empty list of resourceNames stands for all objects.
*/}}
{{- define "kuscia.rule.named" -}}
{{- include "kuscia.args" (list "kuscia.rule.named" "resources names allow" .) -}}
{{- with .names | compact | uniq -}}
- apiGroups: [""]
  resources: {{ $.resources | toJson }}
  resourceNames: {{ . | toJson }}
  verbs: {{ $.allow | toJson }}
{{- end -}}
{{- end -}}

{{/* Read the named Secrets. Takes a list; empty names are omitted. */}}
{{- define "kuscia.rule.readSecrets" -}}
{{- include "kuscia.rule.named" (dict "resources" (list "secrets") "names" . "allow" (list "get")) -}}
{{- end -}}
