{{/*
The security contexts of the steps, which meet Pod Security "restricted"; the UID and GID are those of the Kuscia user.
jobs.podSecurityContext and jobs.securityContext override them.
*/}}

{{/* The security context of the container of a step: {ctx, root?}. */}}
{{- define "kuscia.stepSecurityContext" -}}
{{- include "kuscia.args" (list "kuscia.stepSecurityContext" "ctx root?" .) -}}
{{- $context := dict
  "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000
  "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $security := include "kuscia.keysReplaced" (dict "base" $context "by" .ctx.Values.jobs.securityContext) -}}
{{- if .root -}}
{{- $security = mergeOverwrite ($security | fromYaml) (dict
  "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0
  "capabilities" (dict "drop" (list "ALL") "add" (list "DAC_OVERRIDE"))) | toYaml -}}
{{- end -}}
{{- $security -}}
{{- end -}}

{{/* The dict `base` with the keys of the dict `by` replaced; null removes a key: {base, by}. */}}
{{- define "kuscia.keysReplaced" -}}
{{- include "kuscia.args" (list "kuscia.keysReplaced" "base by" .) -}}
{{- $base := .base -}}
{{- range $key, $value := .by | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $base $key }}{{ else }}{{ $_ := set $base $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $base -}}
{{- end -}}

{{/* The ServiceAccount token as an explicit volume. Automounting would add it to every container of the pod. */}}
{{- define "kuscia.tokenVolume" -}}
- name: api-token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                apiVersion: v1
                fieldPath: metadata.namespace
{{- end -}}
