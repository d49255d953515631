{{/*
The security contexts of the steps, which meet Pod Security "restricted"; the UID and GID are those of the Kuscia user.
jobs.podSecurityContext and jobs.securityContext override them.
*/}}

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
