{{/*
The `keys` step of both components. It creates the key and the certificate of the domain, and never overwrites them. It
does not need a running Kuscia, so it can run before all other objects. As a hook, its RBAC objects are hooks as well.
Helm deletes all of them after a success, since an uninstall would not; those of a failed hook stay for its log.
*/}}
{{- define "kuscia.keys.job" -}}
{{- $name := include "kuscia.fullname" . -}}
{{- $args := list
  "--domain-id" (toString .Values.domainId)
  "--namespace" .Release.Namespace
  "--key-secret" (printf "%s-domain-key" $name)
  "--cert-configmap" (printf "%s-domain-cert" $name) -}}
{{- with .Values.key.existingSecret -}}
{{- $args = concat $args (list "--existing-secret" . "--existing-secret-key" $.Values.key.existingSecretKey) -}}
{{- end -}}
{{- range $key, $value := include "kuscia.derivedLabels" . | fromYaml -}}
{{- $args = concat $args (list "--label" (printf "%s=%s" $key $value)) -}}
{{- end -}}
{{- include "kuscia.job" (dict
  "ctx" . "step" "keys" "args" $args "config" ""
  "hook" .Values.jobs.keys.hook "events" "pre-install,pre-upgrade"
  "deletePolicy" "before-hook-creation,hook-succeeded") -}}
{{- end -}}

