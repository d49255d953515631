{{- define "lite.isRunk" -}}
{{- if eq .Values.runtime "runk" -}}true{{- end -}}
{{- end -}}

{{- define "lite.dataMount" -}}
- name: data
  mountPath: {{ include "lite.dataPath" . }}
{{- end -}}

{{/* The directory for local data (Kuscia facts 1.7). */}}
{{- define "lite.dataPath" -}}/home/kuscia/var/storage{{- end -}}

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
{{- if and (include "lite.isRunk" .) .Values.runk.kubeconfigSecret -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the kubeconfig for engine pods, or empty. */}}
{{- define "lite.kubeconfigSecret" -}}
{{- if include "lite.hasKubeconfig" . -}}{{ .Values.runk.kubeconfigSecret }}{{- end -}}
{{- end -}}

{{/* The file to which `prepare` writes the kubeconfig for Kuscia, or empty. */}}
{{- define "lite.kubeconfigPath" -}}
{{- if include "lite.hasKubeconfig" . -}}/etc/kuscia-runk/kubeconfig{{- end -}}
{{- end -}}

{{/* The names of the pull secrets for engine pods, as JSON. */}}
{{- define "lite.enginePullSecrets" -}}
{{- if kindIs "invalid" .Values.runk.imagePullSecrets -}}
{{- include "kuscia.pullSecretNames" .Values.global.kuscia.imagePullSecrets -}}
{{- else -}}
{{- include "kuscia.pullSecretNames" .Values.runk.imagePullSecrets -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap that names the lite that owns an engine namespace. */}}
{{- define "lite.enginesMarker" -}}kuscia-engines{{- end -}}

{{/* "true" if the `data` step has anything to do. */}}
{{- define "lite.hasData" -}}
{{- if or .Values.data.tables .Values.data.prune -}}true{{- end -}}
{{- end -}}

{{/* The names of the claims that contain tables, as JSON. */}}
{{- define "lite.tableClaims" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .claim }}{{- $names = append $names .name }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{/* The names of the Secrets for table URLs, as JSON. */}}
{{- define "lite.tableSecrets" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .urlSecret }}{{- $names = append $names . }}{{- end }}
{{- end }}
{{- uniq $names | sortAlpha | toJson }}
{{- end -}}

{{- define "lite.tableVolumes" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  persistentVolumeClaim:
    claimName: {{ $name }}
    readOnly: true
{{- end }}
{{- end -}}

{{- define "lite.tableMounts" -}}
{{- range $i, $name := include "lite.tableClaims" . | fromJsonArray }}
- name: tables-{{ $i }}
  mountPath: /tables/{{ $name }}
  readOnly: true
{{- end }}
{{- end -}}

{{/*
What identifies the state that `data` writes to and that its configuration does not name: the master that stores the
declarations, and the volume of local tables.
*/}}
{{- define "lite.dataState" -}}
master: {{ .Values.master.endpoint | quote }}
{{- if and (include "lite.hasLocalTables" .) .Values.persistence.enabled }}
claim: {{ include "kuscia.claimName" . }}
{{- end }}
{{- end -}}

{{/* The name of the Secret with the access key of an oss data source, or empty. */}}
{{- define "lite.sourceSecret" -}}
{{- if and (include "lite.hasData" .) (eq .Values.data.source.type "oss") -}}
{{- .Values.data.source.credentialsSecret.name -}}
{{- end -}}
{{- end -}}

{{/* Permission to read these CA certificates. */}}
{{- define "lite.rule.caBundle" -}}
{{- $bundle := .Values.master.caBundle | default dict -}}
{{- include "kuscia.rule.readSecrets" (list $bundle.secret) }}
{{- include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (ternary "" $bundle.configMap (not (empty $bundle.secret)))) "allow" (list "get")) }}
{{- end -}}
