output "predictions_url" {
  description = "The deployment service, as pods of the cluster reach it."
  value       = "http://${helm_release.serving.name}.${var.namespace}:8700"
}

output "dagster_service" {
  description = "Service of the Dagster UI: kubectl port-forward to it, or a proxy that asks who it is."
  value       = "${helm_release.dagster.name}-dagster-webserver"
}
