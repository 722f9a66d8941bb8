# Text alone: no provider, so that it serves any cloud, and a machine of your own.
terraform {
  required_version = ">= 1.5, < 2.0"
}
