variable "platform_image" {
  description = "The image fx-platform with its registry and tag or digest, as the host pulls it."
  type        = string

  validation {
    condition     = can(regex("(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$", var.platform_image)) && !endswith(var.platform_image, ":latest")
    error_message = "platform_image: name a tag other than latest, or a digest, so that a host built again is the same."
  }
}

variable "serving_image" {
  description = "The image fx-serving, likewise."
  type        = string

  validation {
    condition     = can(regex("(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$", var.serving_image)) && !endswith(var.serving_image, ":latest")
    error_message = "serving_image: name a tag other than latest, or a digest, so that a host built again is the same."
  }
}

variable "data_device" {
  description = "Block device for the home, such as /dev/nvme1n1; formatted if it is empty. null: the system's own disk."
  type        = string
  default     = null

  validation {
    condition     = var.data_device == null ? true : startswith(var.data_device, "/dev/")
    error_message = "data_device: must be a path below /dev."
  }
}

variable "environment" {
  description = "Variables for every container, such as FX_ENV. Not for secrets: they would lie in state and user data."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.environment : can(regex("^[A-Z][A-Z0-9_]*$", name)) && !can(regex("\n", value))])
    error_message = "environment: names are capitals, digits and _, and values one line."
  }

  validation {
    condition     = alltrue([for name in keys(var.environment) : !can(regex("TOKEN|PASSWORD|SECRET|KEY|FX_(STATE|REDIS|REGISTRY|ALERT|HEARTBEAT)_", name))])
    error_message = "environment: secrets are files of /etc/fx/secrets on the host, not variables here (docs/terraform.md)."
  }
}
