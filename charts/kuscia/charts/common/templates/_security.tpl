{{/* What Pod Security "restricted" asks of a pod and of its containers; uid and gid are those of Kuscia's own user. */}}
{{- define "kuscia.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "kuscia.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
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
