locals {
  kubernetes = "${path.module}/../../kubernetes"
  dagster    = yamldecode(file("${local.kubernetes}/dagster-values.yaml"))

  # Helm replaces lists whole.
  deployments = [
    for deployment in local.dagster["dagster-user-deployments"].deployments :
    merge(deployment, { image = merge(deployment.image, var.platform_image) })
  ]
}

resource "helm_release" "serving" {
  name      = "fx-serving"
  namespace = var.namespace
  chart     = "${local.kubernetes}/fx-serving"
  # No pod is ready before the first model is deployed.
  wait = false

  values = [yamlencode({
    image        = var.serving_image
    replicaCount = var.serving.replicas
    secretName   = var.serving.secret_name
    bundles      = { claimName = var.serving.bundles_claim }
  })]
}

resource "helm_release" "dagster" {
  name       = "dagster"
  namespace  = var.namespace
  repository = "https://dagster-io.github.io/helm"
  chart      = "dagster"
  version    = var.dagster_chart_version
  timeout    = 900

  values = [
    file("${local.kubernetes}/dagster-values.yaml"),
    yamlencode({
      global                     = { postgresqlSecretName = var.postgresql.secret_name }
      "dagster-user-deployments" = { deployments = local.deployments }
      dagsterWebserver           = { image = var.platform_image }
      dagsterDaemon              = { image = var.platform_image }
      postgresql = {
        postgresqlHost     = var.postgresql.host
        postgresqlDatabase = var.postgresql.database
        postgresqlUsername = var.postgresql.username
        service            = { port = var.postgresql.port }
      }
    }),
  ]

  # Its pods mount the other chart's configuration.
  depends_on = [helm_release.serving]
}
