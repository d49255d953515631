{{/* Labels and annotations. `component` is master or lite (the default is the one of the chart), or a step. */}}

{{/*
The labels by which other objects select the pod of the component. Two domains can be in one release, if a parent chart has this
chart twice. Takes the context of the component.
*/}}
{{- define "kuscia.selectorLabels" -}}
app.kubernetes.io/name: kuscia
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ .Chart.Name }}
kuscia-chart/domain: {{ .Values.domainId | quote }}
{{- end -}}

{{/*
Labels of pod templates: {ctx, component?, extra?}. The chart's own take precedence over those in `extra`, and these over
global.kuscia.commonLabels. They do not include the chart version, since the pod template of a Job is immutable, and a new
chart version alone must not restart a pod.
*/}}
{{- define "kuscia.podLabels" -}}
{{- include "kuscia.args" (list "kuscia.podLabels" "ctx component? extra?" .) -}}
{{- mergeOverwrite (dict) (.ctx.Values.global.kuscia.commonLabels | default dict) (.extra | default dict) (dict
  "app.kubernetes.io/name" "kuscia"
  "app.kubernetes.io/instance" .ctx.Release.Name
  "app.kubernetes.io/component" (.component | default .ctx.Chart.Name)
  "app.kubernetes.io/part-of" "kuscia"
  "app.kubernetes.io/managed-by" .ctx.Release.Service
  "kuscia-chart/domain" .ctx.Values.domainId) | toYaml -}}
{{- end -}}

{{/*
Labels of the objects that the steps create. Argo CD, if it tracks objects by label, deletes those with the label `instance` that
are not in the chart, so they have `kuscia-chart/release` instead. Takes the context of the component.
*/}}
{{- define "kuscia.derivedLabels" -}}
{{- $labels := omit (include "kuscia.podLabels" (dict "ctx" .) | fromYaml) "app.kubernetes.io/instance" -}}
{{- mergeOverwrite $labels (dict
  "app.kubernetes.io/managed-by" "kuscia-hooks"
  "kuscia-chart/release" .Release.Name) | toYaml -}}
{{- end -}}

{{/*
The labels and annotations of a top-level object: {ctx, component?, annotations?, labels?}. The labels of the chart take
precedence over `labels`, and `annotations` over global.kuscia.commonAnnotations.
*/}}
{{- define "kuscia.metadata" -}}
{{- include "kuscia.args" (list "kuscia.metadata" "ctx component? annotations? labels?" .) -}}
{{- $chart := dict "helm.sh/chart" (printf "kuscia-%s" .ctx.Chart.Version | replace "+" "_") -}}
{{- $labels := mergeOverwrite (dict) (.labels | default dict) $chart -}}
{{- $metadata := dict "labels" (include "kuscia.podLabels" (dict "ctx" .ctx "component" .component "extra" $labels) | fromYaml) -}}
{{- with mergeOverwrite (dict) (.ctx.Values.global.kuscia.commonAnnotations | default dict) (.annotations | default dict) -}}
{{- $_ := set $metadata "annotations" . -}}
{{- end -}}
{{- toYaml $metadata -}}
{{- end -}}
