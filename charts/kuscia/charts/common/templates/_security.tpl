{{/*
The security contexts of the steps, which meet Pod Security "restricted"; the UID and GID are those of the Kuscia user.
jobs.podSecurityContext and jobs.securityContext override them. The one of the pod takes {ctx, groups}, the one of the
container takes the context of the component.
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

{{/* The dict `base` with the keys of the dict `by` replaced; null removes a key: {base, by}. */}}
{{- define "kuscia.keysReplaced" -}}
{{- $base := .base -}}
{{- range $key, $value := .by | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $base $key }}{{ else }}{{ $_ := set $base $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $base -}}
{{- end -}}

{{/*
The security context of the Kuscia container: {ctx, base}; `base` is a dict with the settings of the runtime. If rootless,
NET_BIND_SERVICE is added for ports 53 and 80. The binaries have it as a file capability, so allowPrivilegeEscalation must
not be false. The values override all of it.
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

{{/* The security context of the pod. If rootless, volumes belong to the group of Kuscia. The values override it. */}}
{{- define "kuscia.nodePodSecurityContext" -}}
{{- $context := ternary (dict "fsGroup" 1000) dict .Values.rootless -}}
{{- with mergeOverwrite $context (deepCopy (.Values.podSecurityContext | default dict)) }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The ServiceAccount token as an explicit volume. Automounting would add it to every container of the pod.
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
