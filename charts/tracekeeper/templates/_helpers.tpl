{{/* The chart's name, or its replacement. */}}
{{- define "tracekeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Prefix of every object's name. 40 characters leave room for "-validator" and the pods' hashes. */}}
{{- define "tracekeeper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "tracekeeper.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tracekeeper.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "tracekeeper.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "tracekeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tracekeeper
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels that select the pods of one component. Call with (list $ "controller"). */}}
{{- define "tracekeeper.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tracekeeper.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* An image of ours. Call with (list $ "operator"). */}}
{{- define "tracekeeper.image" -}}
{{- $root := index . 0 -}}
{{- printf "%s/tracekeeper-%s:%s" (trimSuffix "/" $root.Values.image.registry) (index . 1) (default $root.Chart.AppVersion $root.Values.image.tag) -}}
{{- end -}}

{{/* Pod-level settings that Pod Security "restricted" asks for; 65532 is the user of our images. */}}
{{- define "tracekeeper.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Container-level settings that Pod Security "restricted" asks for, and a root filesystem that cannot be written. */}}
{{- define "tracekeeper.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a component's pods may run. Call with (list $ "controller"). */}}
{{- define "tracekeeper.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := get $root.Values $component -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $values.affinity }}
affinity:
  {{- toYaml $values.affinity | nindent 2 }}
{{- else if gt (int $values.replicas) 1 }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "tracekeeper.selectorLabels" . | nindent 14 }}
{{- end }}
{{- if $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else if gt (int $values.replicas) 1 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "tracekeeper.selectorLabels" . | nindent 8 }}
{{- end }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Namespaces in which no pod is touched: a cluster that cannot start its own pods, or our injector, cannot heal itself. */}}
{{- define "tracekeeper.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{/* What both processes need to know of buffers on the nodes. */}}
{{- define "tracekeeper.hostPathArguments" -}}
- --host-path={{ .Values.sidecar.hostPath.path }}
- --host-path-namespaces={{ join "," .Values.sidecar.hostPath.namespaces }}
{{- end -}}

{{/* Where `helm test` asks for its pod. */}}
{{- define "tracekeeper.testNamespace" -}}
{{- default (ternary "kube-public" "default" (eq .Release.Namespace "default")) .Values.test.namespace -}}
{{- end -}}

{{/* Seconds of a duration such as 1h30m, as text. */}}
{{- define "tracekeeper.seconds" -}}
{{- $hours := regexFind "[0-9]+h" . | trimSuffix "h" | int64 -}}
{{- $minutes := regexFind "[0-9]+m" . | trimSuffix "m" | int64 -}}
{{- $seconds := regexFind "[0-9]+s" . | trimSuffix "s" | int64 -}}
{{- add (mul $hours 3600) (mul $minutes 60) $seconds -}}
{{- end -}}

{{/* Flags of the controller about the delivery of alerts. */}}
{{- define "tracekeeper.alertArguments" -}}
- --prometheus-operator={{ .Values.alerts.prometheusOperator }}
{{- with .Values.alerts.labels }}
- --alert-labels={{ include "tracekeeper.asLabels" . }}
{{- end }}
- --pod-monitors={{ .Values.alerts.podMonitors }}
- --operator-labels=app.kubernetes.io/name={{ include "tracekeeper.name" . }},app.kubernetes.io/instance={{ .Release.Name }}
{{- with .Values.prometheus.url }}
- {{ printf "--prometheus-url=%s" . | quote }}
{{- end }}
{{- with .Values.alertmanager.url }}
- {{ printf "--alertmanager-url=%s" . | quote }}
{{- end }}
{{- with .Values.alerts.plain.namespace }}
- --plain-namespace={{ . }}
{{- end }}
{{- with .Values.alerts.plain.baseConfigMap }}
- --plain-base=ConfigMap/{{ . }}
{{- end }}
{{- with .Values.alerts.plain.baseSecret }}
- --plain-base=Secret/{{ . }}
{{- end }}
{{- with .Values.alerts.runbookURL }}
- {{ printf "--runbook-url=%s" . | quote }}
{{- end }}
{{- with .Values.alerts.traceURL }}
- {{ printf "--trace-url=%s" . | quote }}
{{- end }}
{{- end -}}

{{/* A map as a=b,c=d. */}}
{{- define "tracekeeper.asLabels" -}}
{{- $parts := list -}}
{{- range $name, $value := . -}}
{{- $parts = append $parts (printf "%s=%s" $name $value) -}}
{{- end -}}
{{- join "," $parts -}}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "tracekeeper.portOf" -}}
{{- $parts := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $parts.host -}}
{{- if $port -}}{{ trimPrefix ":" $port }}{{- else if eq $parts.scheme "https" -}}443{{- else -}}80{{- end -}}
{{- end -}}
