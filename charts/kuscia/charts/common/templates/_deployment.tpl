{{/*
The Deployment of a component: {ctx, ports, volumes, volumeMounts, initContainers, prepareMounts, securityContext, token,
prepareRoot}. Apart from `ctx` and the last two, they are YAML text; `initContainers` run after `prepare`. `token` is true
if Kuscia itself uses the Kubernetes API, `prepareRoot` if `prepare` needs root to inspect the volume.

The strategy is Recreate, because two running instances of one domain disconnect each other (Kuscia facts 16.2).
*/}}
{{- define "kuscia.deployment" -}}
{{- $ctx := .ctx -}}
{{- $values := $ctx.Values -}}
{{- $name := include "kuscia.fullname" $ctx -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ $ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" $ctx) | nindent 4 }}
spec:
  replicas: 1
  strategy:
    type: Recreate
  progressDeadlineSeconds: {{ int $values.progressDeadlineSeconds }}
  selector:
    matchLabels:
      {{- include "kuscia.selectorLabels" $ctx | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "kuscia.podLabels" (dict "ctx" $ctx) | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include (printf "%s.configData" $ctx.Chart.Name) $ctx | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ int $values.terminationGracePeriodSeconds }}
      {{- with include "kuscia.nodePodSecurityContext" $ctx }}
      securityContext:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with include "kuscia.imagePullSecrets" $ctx }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" }}
      {{- with get $values $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      initContainers:
        {{- $mounts := printf "%s\n- name: run\n  mountPath: /run/kuscia\n- name: tmp\n  mountPath: /tmp\n%s" (include "kuscia.tokenMount" $ctx) .prepareMounts }}
        {{- include "kuscia.initContainer" (dict
          "ctx" $ctx "step" "prepare" "root" .prepareRoot "mounts" $mounts
          "args" (list "--config" "/etc/kuscia-hooks/prepare.yaml" "--base" "/etc/kuscia-hooks/kuscia.yaml" "--output" "/run/kuscia/kuscia.yaml")) | nindent 8 }}
        {{- with .initContainers }}
        {{- . | nindent 8 }}
        {{- end }}
      containers:
        - name: {{ $ctx.Chart.Name }}
          image: {{ include "kuscia.image" (dict "ctx" $ctx "image" $values.image) }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          command: [tini, --, kuscia, start, -c, etc/conf/kuscia.yaml]
          workingDir: /home/kuscia
          {{- with $values.extraEnv }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- .ports | nindent 12 }}
          startupProbe:
            {{- include "kuscia.probe" (dict "ctx" $ctx "probe" $values.probes.startup) | nindent 12 }}
          readinessProbe:
            {{- include "kuscia.probe" (dict "ctx" $ctx "probe" $values.probes.readiness) | nindent 12 }}
          livenessProbe:
            {{- include "kuscia.probe" (dict "ctx" $ctx "probe" $values.probes.liveness) | nindent 12 }}
          {{- with $values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .securityContext }}
          securityContext:
            {{- . | nindent 12 }}
          {{- end }}
          volumeMounts:
            {{- if .token }}
            {{- include "kuscia.tokenMount" $ctx | nindent 12 }}
            {{- end }}
            - name: run
              mountPath: /home/kuscia/etc/conf/kuscia.yaml
              subPath: kuscia.yaml
              readOnly: true
            - name: var-tmp
              mountPath: /home/kuscia/var/tmp
            {{- if $values.rootless }}
            - name: run
              mountPath: /etc/resolv.conf
              subPath: resolv.conf
              readOnly: true
            - name: run
              mountPath: /home/kuscia/var/tmp/resolv.conf
              subPath: upstream-resolv.conf
              readOnly: true
            {{- end }}
            {{- with .volumeMounts }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- include "kuscia.tokenVolume" $ctx | nindent 8 }}
        - name: config
          configMap:
            name: {{ $name }}-config
        - name: run
          emptyDir:
            medium: Memory
            sizeLimit: 1Mi
        - name: tmp
          emptyDir: {}
        - name: var-tmp
          emptyDir: {}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/*
A step as an init container: {ctx, step, args, mounts, root}. Its configuration is a file of the ConfigMap
<fullname>-config. `mounts` are further volume mounts as YAML text; `root` is true if it needs root to use the volume.
*/}}
{{- define "kuscia.initContainer" -}}
{{- $values := .ctx.Values -}}
- name: {{ .step }}
  image: {{ include "kuscia.image" (dict "ctx" .ctx "image" $values.global.kuscia.hooksImage) }}
  imagePullPolicy: {{ $values.global.kuscia.hooksImage.pullPolicy }}
  args:
    {{- toYaml (concat (list .step "--mode" "job") .args) | nindent 4 }}
  {{- with $values.jobs.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    {{- toYaml $values.jobs.resources | nindent 4 }}
  securityContext:
    {{- $security := include "kuscia.stepSecurityContext" .ctx | fromYaml }}
    {{- if .root }}
    {{- $security = mergeOverwrite $security (dict
      "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0
      "capabilities" (dict "drop" (list "ALL") "add" (list "DAC_OVERRIDE"))) }}
    {{- end }}
    {{- toYaml $security | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/kuscia-hooks
      readOnly: true
    {{- with trim .mounts }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
