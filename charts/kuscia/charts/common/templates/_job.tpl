{{/*
The pods of the steps. Their arguments are {ctx, step, args, hook, config, volumes, volumeMounts, groups, podAffinity}:
`step` is the name of the step, `args` a list; `hook` is true for a Helm hook; `config` is the text of its configuration
file, or empty; `volumes` and `volumeMounts` are YAML text; `groups` lists the supplemental groups.
*/}}

{{/* The scheduling of a step: {ctx, podAffinity}. `jobs` overrides the component; `podAffinity` overrides both. */}}
{{- define "kuscia.stepScheduling" -}}
{{- $values := .ctx.Values -}}
{{- $podAffinity := .podAffinity -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- $value := get $values.jobs $key | default (get $values $key) }}
{{- if and $podAffinity (eq $key "affinity") }}
{{- $value = mergeOverwrite (deepCopy ($value | default dict)) (dict "podAffinity" $podAffinity) }}
{{- end }}
{{- with $value }}
{{ $key }}: {{- if kindIs "string" . }} {{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kuscia.stepPodMetadata" -}}
labels:
  {{- include "kuscia.podLabels" (dict "ctx" .ctx "component" .step) | nindent 2 }}
  {{- /* A sidecar would keep the pod running after the step has finished. */}}
  {{- if not (hasKey (.ctx.Values.jobs.podLabels | default dict) "sidecar.istio.io/inject") }}
  sidecar.istio.io/inject: "false"
  {{- end }}
  {{- with .ctx.Values.jobs.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- if not (hasKey (.ctx.Values.jobs.podAnnotations | default dict) "sidecar.istio.io/inject") }}
  sidecar.istio.io/inject: "false"
  {{- end }}
  {{- with .config }}
  checksum/config: {{ sha256sum . }}
  {{- end }}
  {{- with .ctx.Values.jobs.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "kuscia.stepPodSpec" -}}
{{- $values := .ctx.Values -}}
{{- $step := get $values.jobs .step | default dict -}}
serviceAccountName: {{ include "kuscia.fullname" .ctx }}-{{ .step }}
automountServiceAccountToken: true
enableServiceLinks: false
restartPolicy: {{ .restartPolicy }}
securityContext:
  {{- include "kuscia.stepPodSecurityContext" . | nindent 2 }}
{{- with include "kuscia.imagePullSecrets" .ctx }}
{{ . }}
{{- end }}
{{- with include "kuscia.stepScheduling" . | trim }}
{{ . }}
{{- end }}
{{- /* A step connects to the same hosts as its component: master, object store, database. */}}
{{- with $values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .step }}
    image: {{ include "kuscia.image" (dict "ctx" .ctx "image" $values.global.kuscia.hooksImage) }}
    imagePullPolicy: {{ $values.global.kuscia.hooksImage.pullPolicy }}
    args:
      {{- toYaml .args | nindent 6 }}
    {{- with $values.jobs.extraEnv }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    resources:
      {{- toYaml ($step.resources | default $values.jobs.resources) | nindent 6 }}
    securityContext:
      {{- include "kuscia.stepSecurityContext" .ctx | nindent 6 }}
    volumeMounts:
      - name: tmp
        mountPath: /tmp
      {{- if .config }}
      - name: config
        mountPath: /etc/kuscia-hooks
        readOnly: true
      {{- end }}
      {{- with .volumeMounts }}
      {{- . | trim | nindent 6 }}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if .config }}
  - name: config
    configMap:
      name: {{ include "kuscia.fullname" .ctx }}-{{ .step }}
  {{- end }}
  {{- with .volumes }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
The timeout of a step that is a hook, in seconds: {ctx, step, timeout}. `timeout` is the default of the step; the
default of all steps is jobs.timeoutSeconds.
*/}}
{{- define "kuscia.stepTimeout" -}}
{{- $step := get .ctx.Values.jobs .step | default dict -}}
{{- $step.timeoutSeconds | default .timeout | default .ctx.Values.jobs.timeoutSeconds | int -}}
{{- end -}}

{{/* The flags for the mode and the timeout of a step: {ctx, step, hook, timeout}. */}}
{{- define "kuscia.stepMode" -}}
{{- if .hook -}}
{{- list "--mode" "hook" "--timeout" (include "kuscia.stepTimeout" .) | toJson -}}
{{- else -}}
{{- list "--mode" "job" | toJson -}}
{{- end -}}
{{- end -}}

{{/*
The Job of a step: the arguments of a step, and {events, deletePolicy, state, timeout}: the hook events, the deletion policy
of a hook (default: before-hook-creation), what identifies the state that the step writes to, if its configuration does not,
and the default of its timeout.

As a Job of the release it has a hash of its pod template and of `state` in its name, since the pod template of a Job is
immutable. It retries forever, because a failed Job would fail every later `helm upgrade --wait`. As a hook it fails on the
first non-retryable error; a deleted or evicted pod is replaced. Helm does not delete a hook with its release, so a finished
one expires after a day (TTL).
*/}}
{{- define "kuscia.job" -}}
{{- $args := concat (list .step) (include "kuscia.stepMode" . | fromJsonArray) .args -}}
{{- $restart := ternary "Never" "OnFailure" .hook -}}
{{- $step := set (set (omit .) "args" $args) "restartPolicy" $restart -}}
{{- $metadata := include "kuscia.stepPodMetadata" $step -}}
{{- $spec := include "kuscia.stepPodSpec" $step -}}
{{- $name := printf "%s-%s" (include "kuscia.fullname" .ctx) .step -}}
{{- $hash := printf "%s\n%s\n%s\n%s" $metadata $spec (.state | default "") (toString .ctx.Values.jobs.runId) | sha256sum | trunc 10 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ ternary $name (printf "%s-%s" $name $hash) .hook }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .ctx "component" .step) | nindent 4 }}
  {{- if .hook }}
  annotations:
    helm.sh/hook: {{ .events }}
    helm.sh/hook-weight: "0"
    helm.sh/hook-delete-policy: {{ .deletePolicy | default "before-hook-creation" }}
  {{- end }}
spec:
  {{- if .hook }}
  backoffLimit: 6
  {{- /* Behind the deadline of the step itself, for a pod that cannot start or does not end. */}}
  activeDeadlineSeconds: {{ add (include "kuscia.stepTimeout" . | int) 60 }}
  ttlSecondsAfterFinished: 86400
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes:
          containerName: {{ .step }}
          operator: In
          values: [1, 2]
  {{- else }}
  backoffLimit: 1000000
  {{- end }}
  template:
    metadata:
      {{- $metadata | nindent 6 }}
    spec:
      {{- $spec | nindent 6 }}
{{- end -}}

{{/* The timeout of `helm test` in seconds; a master waits for its example job. Takes the context of the component. */}}
{{- define "kuscia.checkTimeout" -}}
{{- $job := .Values.exampleJob | default dict -}}
{{- $own := ternary (add (int $job.timeoutSeconds) 240) 0 ($job.enabled | default false) -}}
{{- .Values.jobs.check.timeoutSeconds | default $own | default .Values.jobs.timeoutSeconds | int -}}
{{- end -}}

{{/* The pod of `helm test`: {ctx, args, config} and the other arguments of a step. */}}
{{- define "kuscia.checkPod" -}}
{{- $args := concat (list "check" "--mode" "hook" "--timeout" (include "kuscia.checkTimeout" .ctx)) .args -}}
{{- $step := set (set (set (omit .) "step" "check") "args" $args) "restartPolicy" "Never" -}}
{{- $metadata := include "kuscia.stepPodMetadata" $step | fromYaml -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "kuscia.fullname" .ctx }}-check
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- mergeOverwrite (include "kuscia.labels" (dict "ctx" .ctx "component" "check") | fromYaml) $metadata.labels | toYaml | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation
    {{- toYaml $metadata.annotations | nindent 4 }}
spec:
  {{- include "kuscia.stepPodSpec" $step | nindent 2 }}
{{- end -}}

{{/*
The template of the Jobs that inspect or repair a release: the arguments of a step, and {schedule, deadline}. Without a
schedule the CronJob is suspended; `deadline` ends its Jobs, in seconds. `kubectl create job --from` copies it;
bin/kubectl-kuscia also replaces the arguments. Leftover copies expire after an hour (TTL).
*/}}
{{- define "kuscia.cronJob" -}}
{{- $labels := include "kuscia.labels" (dict "ctx" .ctx "component" .step) -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "kuscia.fullname" .ctx }}-{{ .step }}
  namespace: {{ .ctx.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
    kuscia-chart/node: {{ .ctx.Chart.Name }}
  annotations:
    # Argo CD would call the whole application suspended.
    argocd.argoproj.io/ignore-healthcheck: "true"
spec:
  schedule: {{ .schedule | default "0 0 1 1 *" | quote }}
  suspend: {{ empty .schedule }}
  concurrencyPolicy: {{ ternary "Allow" "Forbid" (empty .schedule) }}
  jobTemplate:
    metadata:
      labels:
        {{- include "kuscia.podLabels" (dict "ctx" .ctx "component" .step) | nindent 8 }}
    spec:
      backoffLimit: 0
      ttlSecondsAfterFinished: 3600
      {{- with .deadline }}
      activeDeadlineSeconds: {{ . }}
      {{- end }}
      template:
        {{- $step := set (omit .) "restartPolicy" "Never" }}
        metadata:
          {{- include "kuscia.stepPodMetadata" $step | nindent 10 }}
        spec:
          {{- include "kuscia.stepPodSpec" $step | nindent 10 }}
{{- end -}}
