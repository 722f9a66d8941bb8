locals {
  deploy = "${path.module}/../.."

  environment = merge(var.environment, {
    FX_PLATFORM_IMAGE = var.platform_image
    FX_SERVING_IMAGE  = var.serving_image
  })

  files = {
    "/etc/fx/compose.yaml"           = file("${path.module}/compose.yaml")
    "/etc/fx/workspace.yaml"         = file("${path.module}/workspace.yaml")
    "/etc/fx/dagster.yaml"           = file("${local.deploy}/dagster.yaml")
    "/etc/fx/images.env"             = join("", [for name, value in local.environment : "${name}=${value}\n"])
    "/etc/systemd/system/fx.service" = file("${path.module}/fx.service")
    "/etc/systemd/system/fx.path"    = file("${path.module}/fx.path")
  }

  disk = {
    fs_setup = [{ device = var.data_device, partition = "none", filesystem = "ext4", label = "fx", overwrite = false }]
    mounts   = [["LABEL=fx", "/var/lib/fx", "ext4", "defaults", "0", "2"]]
  }

  cloud_config = merge({ for key, value in local.disk : key => value if var.data_device != null }, {
    package_update = true
    packages       = ["docker.io", "docker-compose-v2"]
    write_files    = [for path, content in local.files : { path = path, content = content, permissions = "0644" }]
    runcmd = [
      ["install", "-d", "-m", "0750", "-o", "10001", "-g", "10001", "/var/lib/fx", "/var/lib/fx/dagster", "/etc/fx/secrets"],
      ["install", "-m", "0640", "-o", "10001", "-g", "10001", "/etc/fx/dagster.yaml", "/var/lib/fx/dagster/dagster.yaml"],
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "fx.path"],
    ]
  })

  user_data = "#cloud-config\n${yamlencode(local.cloud_config)}"
}
