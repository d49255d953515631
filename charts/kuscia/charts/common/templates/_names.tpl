{{/*
Names. Unless stated otherwise, a template takes the context of a subchart (`.`); its chart name is the component, master
or lite.
*/}}

{{/* A name of at most `max` characters: {name, max}. A longer one is cut and gets a hash, so that it stays unique. */}}
{{- define "kuscia.shorten" -}}
{{- if gt (len .name) (int .max) -}}
{{- printf "%s-%s" (.name | trunc (int (sub .max 9)) | trimSuffix "-") (sha256sum .name | trunc 8) -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end -}}

{{/*
The name of a component in a release: {release, base}. It has at most 43 characters, so that the pods of its Deployment
(17 more) and the Job `<fullname>-register-<10 hex>` (20 more) stay within 63, the limit for host names and Jobs.
*/}}
{{- define "kuscia.componentName" -}}
{{- $name := .base -}}
{{- if ne .release "kuscia" -}}
{{- $name = printf "%s-%s" .release .base -}}
{{- end -}}
{{- include "kuscia.shorten" (dict "name" $name "max" 43) -}}
{{- end -}}

{{- define "kuscia.liteName" -}}
{{- include "kuscia.componentName" (dict "release" .release "base" (printf "kuscia-lite-%s" .domain)) -}}
{{- end -}}

{{- define "kuscia.fullname" -}}
{{- if eq .Chart.Name "master" -}}
{{- include "kuscia.componentName" (dict "release" .Release.Name "base" "kuscia-master") -}}
{{- else -}}
{{- include "kuscia.liteName" (dict "release" .Release.Name "domain" (toString .Values.domainId)) -}}
{{- end -}}
{{- end -}}

{{/* The full host name of the Service. It includes the cluster domain: Kuscia resolves names in `.svc` to itself. */}}
{{- define "kuscia.host" -}}
{{- printf "%s.%s.svc.%s" (include "kuscia.fullname" .) .Release.Namespace .Values.global.kuscia.clusterDomain -}}
{{- end -}}

{{- define "kuscia.keySecretName" -}}
{{- .Values.key.existingSecret | default (printf "%s-domain-key" (include "kuscia.fullname" .)) -}}
{{- end -}}

{{- define "kuscia.keySecret" -}}
name: {{ include "kuscia.keySecretName" . }}
key: {{ ternary .Values.key.existingSecretKey "domain.key" (not (empty .Values.key.existingSecret)) }}
{{- end -}}

{{- define "kuscia.tokenSecretName" -}}
{{- printf "kuscia-deploy-token-%s" . -}}
{{- end -}}

{{- define "kuscia.ledgerName" -}}
{{- printf "%s-ledger" (include "kuscia.fullname" .) -}}
{{- end -}}

{{/* Selector labels. They must not change during the life of a Deployment. */}}
{{- define "kuscia.selectorLabels" -}}
app.kubernetes.io/name: kuscia
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Chart.Name }}
{{- end -}}

{{/*
Labels of pod templates: {ctx, component}. They do not include the chart version, since the pod template of a Job is
immutable, and a new chart version alone must not restart a pod.
*/}}
{{- define "kuscia.podLabels" -}}
app.kubernetes.io/name: kuscia
app.kubernetes.io/instance: {{ .ctx.Release.Name }}
app.kubernetes.io/component: {{ .component | default .ctx.Chart.Name }}
app.kubernetes.io/part-of: kuscia
app.kubernetes.io/managed-by: {{ .ctx.Release.Service }}
kuscia-chart/domain: {{ .ctx.Values.domainId | quote }}
{{- end -}}

{{/* Labels of top-level objects: {ctx, component}. */}}
{{- define "kuscia.labels" -}}
{{ include "kuscia.podLabels" . }}
helm.sh/chart: {{ printf "kuscia-%s" .ctx.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of the objects that the steps create. */}}
{{- define "kuscia.derivedLabels" -}}
app.kubernetes.io/name: kuscia
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Chart.Name }}
app.kubernetes.io/part-of: kuscia
app.kubernetes.io/managed-by: kuscia-hooks
kuscia-chart/domain: {{ .Values.domainId | quote }}
{{- end -}}
