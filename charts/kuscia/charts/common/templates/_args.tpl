{{/*
Check the arguments of a helper: a list of its name, its signature and the arguments. The signature names the arguments,
separated by blanks; `?` marks an optional one.
*/}}
{{- define "kuscia.args" -}}
{{- $helper := index . 0 -}}
{{- $given := index . 2 -}}
{{- $declared := list -}}
{{- range splitList " " (index . 1) -}}
{{- $name := trimSuffix "?" . -}}
{{- $declared = append $declared $name -}}
{{- if and (eq . $name) (not (hasKey $given $name)) -}}
{{- fail (printf "helper %s requires the argument %s" $helper $name) -}}
{{- end -}}
{{- end -}}
{{- range keys $given | sortAlpha -}}
{{- if not (has . $declared) -}}
{{- fail (printf "helper %s has no argument %s" $helper .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
