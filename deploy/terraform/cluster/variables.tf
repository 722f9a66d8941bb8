variable "namespace" {
  description = "Namespace of both releases; the secrets and claims that docs/kubernetes.md lists are there already."
  type        = string
  default     = "fx"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace: must be a name of Kubernetes: small letters, digits and -, at most 63."
  }
}

variable "dagster_chart_version" {
  description = "Version of the official chart: that of the Dagster in the image."
  type        = string
  default     = "1.13.27"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.dagster_chart_version))
    error_message = "dagster_chart_version: must be one exact version, such as 1.13.27."
  }
}

variable "platform_image" {
  description = "The image fx-platform."
  type        = object({ repository = string, tag = string })

  validation {
    condition     = var.platform_image.repository != "" && !contains(["", "latest"], var.platform_image.tag)
    error_message = "platform_image: name repository and a tag other than latest: the same for code servers and their runs."
  }
}

variable "serving_image" {
  description = "The image fx-serving."
  type        = object({ repository = string, tag = string })

  validation {
    condition     = var.serving_image.repository != "" && !contains(["", "latest"], var.serving_image.tag)
    error_message = "serving_image: name repository and a tag other than latest."
  }
}

variable "postgresql" {
  description = "Dagster's PostgreSQL. The password is the key postgresql-password of the named secret."
  type = object({
    host        = string
    port        = optional(number, 5432)
    database    = optional(string, "dagster")
    username    = optional(string, "dagster")
    secret_name = optional(string, "fx-dagster-postgresql")
  })

  validation {
    condition     = var.postgresql.host != "" && !can(regex("[/@:]", var.postgresql.host))
    error_message = "postgresql.host: must be a host name alone; no address, and no password."
  }
}

variable "serving" {
  description = "The deployment service: names of its secret and of the claim with the models, and how many pods."
  type = object({
    secret_name   = optional(string, "fx-serving")
    bundles_claim = optional(string, "fx-bundles")
    replicas      = optional(number, 1)
  })
  default = {}

  validation {
    condition     = var.serving.replicas >= 1 && floor(var.serving.replicas) == var.serving.replicas
    error_message = "serving.replicas: must be a whole number from 1; see docs/kubernetes.md before more than one."
  }
}
