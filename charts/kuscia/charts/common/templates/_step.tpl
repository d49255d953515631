{{/*
The pod template of a step:
{ctx, step, args, restartPolicy, configMaps?, config?, volumes?, volumeMounts?, groups?, sameNode?}.
`args` is the list of arguments of kuscia-hooks, `configMaps` lists the ConfigMaps <fullname>-<name> with its configuration
files, `config` is a text of what decides its work in them, `volumes` and `volumeMounts` are further ones as YAML text, `groups`
is a list of supplemental groups. `jobs` overrides the scheduling of the component. With `sameNode`, the pod runs next to that of
the component, whose volume it mounts: most volumes can be mounted on one node at a time.
*/}}
{{- define "kuscia.stepPod" -}}
{{- include "kuscia.args" (list "kuscia.stepPod" "ctx step args restartPolicy configMaps? config? volumes? volumeMounts? groups? sameNode?" .) -}}
{{- $values := .ctx.Values -}}
{{- $jobs := $values.jobs -}}
{{- $own := get $jobs .step | default dict -}}
{{- /* A sidecar would keep the pod running after the step has finished. */ -}}
{{- $labels := mergeOverwrite (dict "sidecar.istio.io/inject" "false") ($jobs.podLabels | default dict) -}}
{{- $annotations := mergeOverwrite (dict "sidecar.istio.io/inject" "false") ($jobs.podAnnotations | default dict) -}}
{{- with .config -}}
{{- $_ := set $annotations "checksum/config" (sha256sum .) -}}
{{- end -}}
{{- /* It meets Pod Security "restricted"; the UID and GID are those of the Kuscia user. null in the values removes a key. */ -}}
{{- $security := dict
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000 "fsGroup" 1000
  "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- with .groups -}}
{{- $_ := set $security "supplementalGroups" . -}}
{{- end -}}
{{- range $key, $value := $jobs.podSecurityContext | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $security $key }}{{ else }}{{ $_ := set $security $key $value }}{{ end -}}
{{- end -}}
metadata:
  labels:
    {{- include "kuscia.podLabels" (dict "ctx" .ctx "component" .step "extra" $labels) | nindent 4 }}
  annotations:
    {{- toYaml $annotations | nindent 4 }}
spec:
  serviceAccountName: {{ printf "%s-%s" (include "kuscia.fullname" .ctx) .step | quote }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: {{ .restartPolicy }}
  securityContext:
    {{- toYaml $security | nindent 4 }}
  {{- with include "kuscia.pullSecrets" .ctx }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
  {{- $value := get $jobs $key | default (get $values $key) }}
  {{- if and $.sameNode (eq $key "affinity") }}
  {{- $pod := dict "labelSelector" (dict "matchLabels" (include "kuscia.selectorLabels" $.ctx | fromYaml)) "topologyKey" "kubernetes.io/hostname" }}
  {{- $required := "requiredDuringSchedulingIgnoredDuringExecution" }}
  {{- $terms := append (dig "podAffinity" $required list ($value | default dict) | default list) $pod }}
  {{- $value = mergeOverwrite (deepCopy ($value | default dict)) (dict "podAffinity" (dict $required $terms)) }}
  {{- end }}
  {{- with $value }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $jobs.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $jobs.priorityClassName | default $values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- /* A step connects to the same hosts as its component: master, object store, database. */}}
  {{- range $key := list "hostAliases" "dnsConfig" }}
  {{- with get $values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  containers:
    - name: {{ .step }}
      {{- include "kuscia.stepContainer" (dict "ctx" .ctx "image" (include "kuscia.hooksImage" (dict "ctx" .ctx)) "resources" ($own.resources | default $jobs.resources) "proxy" (ne .step "keys")) | nindent 6 }}
      args:
        {{- toYaml .args | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if include "kuscia.caVolume" .ctx }}
        - name: ca-bundle
          mountPath: /etc/kuscia-ca
          readOnly: true
        {{- end }}
        {{- if .configMaps }}
        - name: config
          mountPath: /etc/kuscia-hooks
          readOnly: true
        {{- end }}
        {{- with .volumeMounts }}
        {{- . | trim | nindent 8 }}
        {{- end }}
        {{- with $jobs.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- with include "kuscia.caVolume" .ctx }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .configMaps }}
    - name: config
      projected:
        sources:
          {{- range . }}
          - configMap:
              name: {{ printf "%s-%s" (include "kuscia.fullname" $.ctx) . | quote }}
          {{- end }}
    {{- end }}
    {{- with .volumes }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    {{- with $jobs.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/*
What the container of a step and an init container have in common: {ctx, image, resources, root?, proxy?}. An init container with
`root` can write to a volume of any owner. With `proxy` it uses the proxies in the values, whose Secret must
exist then; the hook `keys` does not wait for it.
*/}}
{{- define "kuscia.stepContainer" -}}
{{- include "kuscia.args" (list "kuscia.stepContainer" "ctx image resources root? proxy?" .) -}}
{{- $values := .ctx.Values -}}
{{- $security := dict
  "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
  "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 1000
  "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- range $key, $value := $values.jobs.securityContext | default dict -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $security $key }}{{ else }}{{ $_ := set $security $key $value }}{{ end -}}
{{- end -}}
{{- if .root -}}
{{- $security = mergeOverwrite $security (dict
  "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0
  "capabilities" (dict "drop" (list "ALL") "add" (list "DAC_OVERRIDE"))) -}}
{{- end -}}
image: {{ .image | quote }}
imagePullPolicy: {{ $values.global.kuscia.hooksImage.pullPolicy | quote }}
{{- with include "kuscia.env" (dict "ctx" .ctx "step" true "proxy" .proxy) }}
{{ . }}
{{- end }}
{{- with $values.jobs.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- toYaml $security | nindent 2 }}
{{- end -}}

{{/*
The name of the Job of a step: {ctx, step, hook, pod, state?}. As a Job of the release it has a hash of its pod template and of
`state` in its name, since the pod template of a Job is immutable. `state` is what identifies the state that the step writes
to, if its configuration does not.
*/}}
{{- define "kuscia.jobName" -}}
{{- include "kuscia.args" (list "kuscia.jobName" "ctx step hook pod state?" .) -}}
{{- $name := printf "%s-%s" (include "kuscia.fullname" .ctx) .step -}}
{{- $hash := printf "%s\n%s\n%v" .pod (.state | default "") .ctx.Values.jobs.runId | sha256sum | trunc 10 -}}
{{- ternary $name (printf "%s-%s" $name $hash) .hook -}}
{{- end -}}

{{/* The timeout of `helm test` in seconds; a master waits for its example job. Takes the context of the component. */}}
{{- define "kuscia.checkTimeout" -}}
{{- $job := .Values.exampleJob | default dict -}}
{{- $own := ternary (add (int $job.timeoutSeconds) 240) 0 ($job.enabled | default false) -}}
{{- (.Values.jobs.check).timeoutSeconds | default $own | default .Values.jobs.timeoutSeconds | int -}}
{{- end -}}
