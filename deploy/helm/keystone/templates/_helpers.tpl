{{- define "keystone.labels" -}}
app.kubernetes.io/name: keystone
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keystone.initial" -}}
{{- $peers := printf "%s-peers" .Release.Name -}}
{{- range $i := until (int .Values.replicas) -}}
{{- if $i }},{{ end }}{{ $.Release.Name }}-{{ $i }}={{ $.Release.Name }}-{{ $i }}.{{ $peers }}:7400
{{- end -}}
{{- end }}

{{- /* How probes reach the API, as a member of their httpGet. */ -}}
{{- define "keystone.scheme" -}}
{{- if .Values.tls.existingSecret }}, scheme: HTTPS{{ end -}}
{{- end }}
