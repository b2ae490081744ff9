{{/* flowspan.yaml of agents and directory, as objects in YAML: what the chart's values say, with `config` merged over it. */}}

{{- define "flowspan.exporter" -}}
{{- $otlp := .Values.otlp -}}
{{- $endpoint := $otlp.endpoint -}}
{{- if eq $otlp.protocol "http/protobuf" -}}
{{- if eq $endpoint "http://${HOST_IP}:4317" -}}
{{- $endpoint = "http://${HOST_IP}:4318" -}}
{{- end -}}
{{- $endpoint = printf "%s/v1/metrics" (trimSuffix "/" $endpoint) -}}
{{- end -}}
{{- $exporter := dict "endpoint" $endpoint "compression" $otlp.compression -}}
{{- with $otlp.tls.secret -}}
{{- if hasPrefix "http://" $otlp.endpoint -}}
{{- fail "otlp.tls.secret is set, but otlp.endpoint begins with http://: write https://" -}}
{{- end -}}
{{- $tls := dict "ca_file" "/etc/flowspan-otlp/ca.crt" -}}
{{- if $otlp.tls.clientCertificate -}}
{{- $_ := set $tls "cert_file" "/etc/flowspan-otlp/tls.crt" -}}
{{- $_ := set $tls "key_file" "/etc/flowspan-otlp/tls.key" -}}
{{- end -}}
{{- $_ := set $exporter "tls" $tls -}}
{{- else -}}
{{- if $otlp.tls.clientCertificate -}}
{{- fail "otlp.tls.clientCertificate needs otlp.tls.secret, which has the certificate" -}}
{{- end -}}
{{- end -}}
{{- if $otlp.headers.secret -}}
{{- $_ := set $exporter "headers_list" "${OTLP_HEADERS}" -}}
{{- end -}}
{{- toYaml (mergeOverwrite $exporter (deepCopy $otlp.exporter)) -}}
{{- end -}}

{{/* own: the fields of distribution.flowspan; config: what the user merges over all; key: where he does that. */}}
{{- define "flowspan.config" -}}
{{- $exporter := include "flowspan.exporter" .root | fromYaml -}}
{{- $name := eq .root.Values.otlp.protocol "grpc" | ternary "otlp_grpc" "otlp_http" -}}
{{- $reader := dict "periodic" (dict "exporter" (dict $name $exporter)) -}}
{{- if hasKey .config "meter_provider" -}}
{{- fail (printf "%s.meter_provider would replace all of otlp: set otlp.exporter instead" .key) -}}
{{- end -}}
{{- $config := dict
  "file_format" "1.1"
  "log_level" "info"
  "meter_provider" (dict "readers" (list $reader))
  "distribution" (dict "flowspan" .own)
-}}
{{- toYaml (mergeOverwrite $config (deepCopy .config)) -}}
{{- end -}}

{{- define "flowspan.agentConfig" -}}
{{- $kubernetes := dict -}}
{{- if .Values.appLabels -}}{{- $_ := set $kubernetes "app_labels" true -}}{{- end -}}
{{- $own := dict "interval" 15000 -}}
{{- with .Values.clusterName -}}{{- $_ := set $own "cluster" . -}}{{- end -}}
{{- if .Values.directory.enabled -}}
{{- $_ := set $kubernetes "metadata" "directory" -}}
{{- $_ := set $own "directory" (dict
  "addresses" (list (printf "%s.%s.svc:9483" (include "flowspan.directoryName" .) .Release.Namespace))
  "ca_file" "/etc/flowspan-directory/ca.crt"
  "token_file" "/etc/flowspan-directory/token"
) -}}
{{- end -}}
{{- if $kubernetes -}}{{- $_ := set $own "kubernetes" $kubernetes -}}{{- end -}}
{{- include "flowspan.config" (dict "root" . "own" $own "config" .Values.agent.config "key" "agent.config") -}}
{{- end -}}

{{- define "flowspan.directoryConfig" -}}
{{- $directory := dict "cert_file" "/etc/flowspan-directory/tls.crt" "key_file" "/etc/flowspan-directory/tls.key" -}}
{{- if eq .Values.directory.authentication "token" -}}
{{- $_ := set $directory "token_file" "/etc/flowspan-directory/tokens" -}}
{{- else -}}
{{- $account := include "flowspan.serviceAccount" (dict "root" . "workload" .Values.agent "suffix" "" "key" "agent") -}}
{{- $_ := set $directory "token_audience" (include "flowspan.directoryName" .) -}}
{{- $_ := set $directory "service_accounts" (list (printf "%s/%s" .Release.Namespace $account)) -}}
{{- end -}}
{{- $own := dict "directory" $directory -}}
{{- with .Values.clusterName -}}{{- $_ := set $own "cluster" . -}}{{- end -}}
{{- if .Values.appLabels -}}{{- $_ := set $own "kubernetes" (dict "app_labels" true) -}}{{- end -}}
{{- include "flowspan.config" (dict "root" . "own" $own "config" .Values.directory.config "key" "directory.config") -}}
{{- end -}}

{{/*
The hash of what an agent takes over by a restart alone: of its configuration without the fields that it takes over at once
(files/live-fields.yaml). So a pod restarts where its configuration asks for it, and never else.
*/}}
{{- define "flowspan.restartHash" -}}
{{- $config := include "flowspan.agentConfig" . | fromYaml -}}
{{- range $path := .Files.Get "files/live-fields.yaml" | fromYamlArray -}}
{{- include "flowspan.remove" (dict "group" $config "path" $path) -}}
{{- end -}}
{{- toYaml $config | sha256sum -}}
{{- end -}}

{{/* Removes the field at `path` from `group`, and groups that are empty then. Renders nothing. */}}
{{- define "flowspan.remove" -}}
{{- $name := first .path -}}
{{- if and (kindIs "map" .group) (hasKey .group $name) -}}
{{- $inner := get .group $name -}}
{{- if gt (len .path) 1 -}}
{{- include "flowspan.remove" (dict "group" $inner "path" (rest .path)) -}}
{{- end -}}
{{- if or (eq (len .path) 1) (and (kindIs "map" $inner) (empty $inner)) -}}
{{- $_ := unset .group $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What both need to reach the Collector: environment, mounts and volumes. */}}
{{- define "flowspan.otlpEnv" -}}
{{- with .Values.otlp.headers -}}
{{- if .secret }}
- name: OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "flowspan.otlpMounts" -}}
{{- if .Values.otlp.tls.secret }}
- name: otlp
  mountPath: /etc/flowspan-otlp
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "flowspan.otlpVolumes" -}}
{{- with .Values.otlp.tls.secret }}
- name: otlp
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end -}}
{{- end -}}
