{{/* Names, labels and images. Each takes (dict "root" $ …) where it needs more than the release. */}}

{{- define "flowspan.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 43 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name where that says flowspan already. 43: "-directory-identity" still fits into 63. */}}
{{- define "flowspan.fullname" -}}
{{- $name := include "flowspan.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 43 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 43 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 43 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "flowspan.directoryName" -}}
{{- include "flowspan.fullname" . }}-directory
{{- end -}}

{{/* What pods are selected by; suffix: "", "-probe", "-directory". */}}
{{- define "flowspan.selector" -}}
app.kubernetes.io/name: {{ include "flowspan.name" .root }}{{ .suffix }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Of every object. Nothing that changes with a version may be on a pod: it would restart for nothing. */}}
{{- define "flowspan.labels" -}}
{{ include "flowspan.selector" . }}
app.kubernetes.io/part-of: {{ include "flowspan.name" .root }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* workload: the values of one, as .Values.agent. */}}
{{- define "flowspan.image" -}}
{{- with .root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "flowspan.serviceAccount" -}}
{{- $account := .workload.serviceAccount -}}
{{- if or $account.create $account.name -}}
{{- $account.name | default (printf "%s%s" (include "flowspan.fullname" .root) .suffix) -}}
{{- else -}}
{{- fail (printf "%s.serviceAccount.create is false: %s.serviceAccount.name must name an account that exists" .key .key) -}}
{{- end -}}
{{- end -}}

{{- define "flowspan.priorityClass" -}}
{{- with .Values.priorityClass }}{{ .name | default (.create | ternary (include "flowspan.fullname" $) "") }}{{ end -}}
{{- end -}}

{{/* Fields of a pod's spec. */}}
{{- define "flowspan.scheduling" -}}
{{- with include "flowspan.priorityClass" .root }}
priorityClassName: {{ . }}
{{- end }}
{{- include "flowspan.placement" . }}
{{- end -}}

{{/* The same without a PriorityClass, which goes with the release. */}}
{{- define "flowspan.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .workload.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Helm merges a user's OnDelete with the default's rollingUpdate, which the API server refuses. */}}
{{- define "flowspan.updateStrategy" -}}
{{- $strategy := .updateStrategy -}}
{{- if ne $strategy.type "RollingUpdate" -}}{{- $strategy = omit $strategy "rollingUpdate" -}}{{- end -}}
{{- toYaml $strategy -}}
{{- end -}}

{{/* Kubelets ask for health on the port of that name. */}}
{{- define "flowspan.healthProbes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 20
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: {{ . }}
{{- end -}}

{{/* A token of the pod's account, which only the container that mounts it has; sources: more of them. */}}
{{- define "flowspan.tokenSources" -}}
- serviceAccountToken:
    path: token
    expirationSeconds: 3607
- configMap:
    name: kube-root-ca.crt
    items:
      - key: ca.crt
        path: ca.crt
{{- end -}}
