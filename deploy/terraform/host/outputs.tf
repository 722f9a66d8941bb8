output "user_data" {
  description = "The host's cloud-init configuration, for the user data of a virtual machine (Ubuntu 24.04). No secret is in it."
  value       = local.user_data

  precondition {
    condition     = length(local.user_data) <= 16384
    error_message = "user_data: longer than the 16 KiB that clouds take. Say less in environment."
  }
}

output "files" {
  description = "The same files by their paths, for a host that is set up by other means."
  value       = local.files
}
