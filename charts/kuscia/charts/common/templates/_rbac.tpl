{{/*
The ServiceAccount, Role and RoleBinding of one identity: {ctx, component, name, rules, annotations}; `rules` and
`annotations` are YAML text. The ServiceAccount does not automount its token; a pod that needs it mounts it explicitly.
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

{{/*
Permissions on named objects: {resources, names, allow}, all lists. Empty names are omitted. Without a name it renders
nothing: an empty list of resourceNames stands for all objects.
*/}}
{{- define "kuscia.rule.named" -}}
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

{{/* Read the ledger. Takes the context of the component. */}}
{{- define "kuscia.rule.readLedger" -}}
{{- include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (include "kuscia.ledgerName" .)) "allow" (list "get")) -}}
{{- end -}}

{{/* Create and update the ledger. RBAC cannot limit `create` to a name. Takes the context of the component. */}}
{{- define "kuscia.rule.ledger" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "kuscia.ledgerName" . | quote }}]
  verbs: [get, patch]
{{- end -}}

{{/* Read pods, logs and events. The names of the pods are not known in advance. */}}
{{- define "kuscia.rule.look" -}}
- apiGroups: [""]
  resources: [pods, events]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- end -}}

{{/* Read what `doctor`, `status`, `logs` and `invite` use in the release namespace: {ctx, secrets, services}. */}}
{{- define "kuscia.rule.doctor" -}}
{{ include "kuscia.rule.look" . }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list]
{{ include "kuscia.rule.readSecrets" .secrets }}
{{ include "kuscia.rule.named" (dict "resources" (list "services") "names" .services "allow" (list "get")) }}
{{ include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (include "kuscia.ledgerName" .ctx) (printf "%s-config" (include "kuscia.fullname" .ctx))) "allow" (list "get")) }}
{{- end -}}
