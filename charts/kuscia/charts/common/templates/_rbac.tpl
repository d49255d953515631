{{/*
ServiceAccount, Role and RoleBinding of one identity: {ctx, component, name, rules, annotations}; `rules` and
`annotations` are YAML text. The token is asked for by the pod that needs it, so the account itself offers none.
*/}}
{{- define "kuscia.identity" -}}
{{- $labels := include "kuscia.labels" . -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .ctx.Release.Namespace }}
{{- end -}}

{{/* The identity of a step: {ctx, step, rules, annotations}. */}}
{{- define "kuscia.stepIdentity" -}}
{{- $name := printf "%s-%s" (include "kuscia.fullname" .ctx) .step -}}
{{- include "kuscia.identity" (set (set (omit .) "component" .step) "name" $name) -}}
{{- end -}}

{{/* May read these Secrets by name: a list; empty names are left out. */}}
{{- define "kuscia.rule.readSecrets" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ without (uniq .) "" | toJson }}
  verbs: [get]
{{- end -}}

{{/* May keep the ledger. `create` cannot be limited to a name. */}}
{{- define "kuscia.rule.ledger" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "kuscia.ledgerName" . | quote }}]
  verbs: [get, update, patch]
{{- end -}}

{{/* May look at pods, their logs and what befell them; pods have no name to give beforehand. */}}
{{- define "kuscia.rule.look" -}}
- apiGroups: [""]
  resources: [pods, events]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end -}}

{{/* What `doctor` and its like may do in the release's namespace: {ctx, secrets, services}. Reads only. */}}
{{- define "kuscia.rule.doctor" -}}
{{ include "kuscia.rule.look" . }}
{{ include "kuscia.rule.readSecrets" .secrets }}
- apiGroups: [""]
  resources: [services]
  resourceNames: {{ .services | toJson }}
  verbs: [get]
{{- end -}}
