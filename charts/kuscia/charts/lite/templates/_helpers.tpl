{{/* "true" if the tables are files in the pod of the lite. */}}
{{- define "lite.hasLocalTables" -}}
{{- if and .Values.data.tables (eq (toString .Values.data.source.type) "localfs") -}}true{{- end -}}
{{- end -}}

{{/*
"true" if the pod of `helm test` can read these files. It cannot mount a ReadWriteOncePod volume or an emptyDir.
*/}}
{{- define "lite.checkSeesFiles" -}}
{{- $persistence := .Values.persistence -}}
{{- if and (include "lite.hasLocalTables" .) $persistence.enabled (not (has "ReadWriteOncePod" $persistence.accessModes)) -}}true{{- end -}}
{{- end -}}

{{/* The podAffinity of a step that mounts a volume of the lite: most volumes can be mounted on one node at a time. */}}
{{- define "lite.affinityToLite" -}}
requiredDuringSchedulingIgnoredDuringExecution:
  - labelSelector:
      matchLabels:
        {{- include "kuscia.selectorLabels" . | nindent 8 }}
    topologyKey: kubernetes.io/hostname
{{- end -}}

{{/* The namespace in which RunK creates engine pods. */}}
{{- define "lite.engineNamespace" -}}
{{- .Values.runk.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "lite.hasKubeconfig" -}}
{{- if and (eq .Values.runtime "runk") .Values.runk.kubeconfigSecret -}}true{{- end -}}
{{- end -}}

{{/* The names of the pull secrets for engine pods, as JSON. */}}
{{- define "lite.enginePullSecrets" -}}
{{- if kindIs "invalid" .Values.runk.imagePullSecrets -}}
{{- include "kuscia.pullSecretNames" (.Values.global.kuscia.imagePullSecrets | default .Values.global.imagePullSecrets) -}}
{{- else -}}
{{- include "kuscia.pullSecretNames" .Values.runk.imagePullSecrets -}}
{{- end -}}
{{- end -}}

{{/* The names of the claims that contain tables, as JSON. */}}
{{- define "lite.tableClaims" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .claim }}{{- $names = append $names .name }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{- define "lite.tableVolumes" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  persistentVolumeClaim:
    claimName: {{ $name | quote }}
    readOnly: true
{{- end }}
{{- end -}}

{{- define "lite.tableMounts" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  mountPath: {{ printf "/tables/%s" $name | quote }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* The name of the Secret with the access key of an oss data source, or empty. */}}
{{- define "lite.sourceSecret" -}}
{{- if and (or .Values.data.tables .Values.data.prune) (eq .Values.data.source.type "oss") -}}
{{- .Values.data.source.credentialsSecret.name -}}
{{- end -}}
{{- end -}}

{{/* Permission to read these CA certificates. */}}
{{- define "lite.rule.caBundle" -}}
{{- $bundle := .Values.master.caBundle | default dict -}}
{{- include "kuscia.rule.readSecrets" (list $bundle.secret) }}
{{- include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (ternary "" $bundle.configMap (not (empty $bundle.secret)))) "allow" (list "get")) }}
{{- end -}}
