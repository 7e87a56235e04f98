{{/* All settings: the defaults, the profile over them, the user's over both. */}}
{{- define "leno.values" -}}
{{- $profile := .Values.profile | default "default" -}}
{{- $overlay := .Files.Get (printf "files/profile-%s.yaml" $profile) -}}
{{- if not $overlay -}}
{{- fail (printf "there is no profile `%s`: default, demo, minimal, ha" $profile) -}}
{{- end -}}
{{- $v := mustMergeOverwrite (.Files.Get "files/defaults.yaml" | fromYaml) ($overlay | fromYaml) (deepCopy .Values) -}}
{{- /* Helm's habit is the release's namespace; `default` is no place for a mesh. */ -}}
{{- if and (not .Values.namespace) (ne .Release.Namespace "default") -}}
{{- $_ := set $v "namespace" .Release.Namespace -}}
{{- end -}}
{{- $suffix := ternary "" (printf "-%s" $v.revision) (eq $v.revision "default") -}}
{{- $_ := set $v "suffix" $suffix -}}
{{- $_ := set $v "control.name" (printf "leno-control%s" $suffix) -}}
{{- toYaml $v -}}
{{- end -}}

{{- define "leno.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: leno
app.kubernetes.io/managed-by: leno
{{- end -}}

{{- define "leno.revisionLabels" -}}
{{ include "leno.labels" .name }}
istio.io/rev: {{ .v.revision | quote }}
{{- end -}}

{{- define "leno.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "leno.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{/* Where pods go, and with what their images are pulled. */}}
{{- define "leno.place" -}}
{{- with .v.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
