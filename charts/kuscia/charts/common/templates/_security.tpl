{{/*
What Pod Security "restricted" asks of a step's pod and of its containers; uid and gid are those of Kuscia's own user.
jobs.podSecurityContext and jobs.securityContext win. The pod's: {ctx, groups}; the container's: the component's context.
*/}}
{{- define "kuscia.stepPodSecurityContext" -}}
{{- $context := dict
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000 "fsGroup" 1000
  "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- with .groups }}{{ $_ := set $context "supplementalGroups" . }}{{ end -}}
{{- include "kuscia.keysReplaced" (dict "base" $context "by" .ctx.Values.jobs.podSecurityContext) -}}
{{- end -}}

{{- define "kuscia.stepSecurityContext" -}}
{{- $context := dict
  "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000
  "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- include "kuscia.keysReplaced" (dict "base" $context "by" .Values.jobs.securityContext) -}}
{{- end -}}

{{/* {base, by}, two dicts: the first with the keys of the second in their place; null takes a key away. */}}
{{- define "kuscia.keysReplaced" -}}
{{- $base := .base -}}
{{- range $key, $value := .by | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $base $key }}{{ else }}{{ $_ := set $base $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $base -}}
{{- end -}}

{{/*
Kuscia's own container: {ctx, base}; `base` is what its runtime needs, a dict. Rootless, it keeps upstream's
capabilities and adds the one for ports 53 and 80. The binaries hold it as a file capability, so
allowPrivilegeEscalation may not be false. The values win.
*/}}
{{- define "kuscia.nodeSecurityContext" -}}
{{- $context := .base -}}
{{- if .ctx.Values.rootless -}}
{{- $context = mergeOverwrite $context (dict
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000
  "capabilities" (dict "add" (list "NET_BIND_SERVICE"))) -}}
{{- end -}}
{{- with mergeOverwrite $context (deepCopy (.ctx.Values.securityContext | default dict)) }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The pod's: rootless, volumes belong to Kuscia's group. The values win. */}}
{{- define "kuscia.nodePodSecurityContext" -}}
{{- $context := ternary (dict "fsGroup" 1000) dict .Values.rootless -}}
{{- with mergeOverwrite $context (deepCopy (.Values.podSecurityContext | default dict)) }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The API server's token, as a volume of our own: a pod has one ServiceAccount, and with automounting it would be in
every container.
*/}}
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

{{- define "kuscia.tokenMount" -}}
- name: api-token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}
