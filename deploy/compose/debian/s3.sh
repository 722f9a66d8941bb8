#!/bin/sh
# An S3 over a folder; a bucket is a folder in it. The keys go through the environment, where no other user reads them.
set -eu
RCLONE_AUTH_KEY="\"$(cat /run/secrets/AWS_ACCESS_KEY_ID),$(cat /run/secrets/AWS_SECRET_ACCESS_KEY)\""
export RCLONE_AUTH_KEY
exec rclone serve s3 --config /dev/null --cache-dir /tmp/rclone --addr :9000 /data
