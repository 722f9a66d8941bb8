"""An S3 server (moto's) in this process, on a free loopback port."""

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from unittest import mock


@contextlib.contextmanager
def s3_server() -> Iterator[Callable[[], str]]:
    """Yields bucket() -> URL of a new bucket. While it runs, AWS_ENDPOINT_URL and keys point at it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def bucket() -> str:
        name = f"fx-{uuid.uuid4().hex[:12]}"
        boto3.client("s3").create_bucket(Bucket=name)
        return f"s3://{name}"

    try:
        with mock.patch.dict(os.environ, variables):
            yield bucket
    finally:
        server.stop()
