"""AWS's own host names in Node.js functions: they lead to the platform, whichever client calls them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import pytest

from penstock.testing.platform import PlatformThread

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")

HANDLER = """
const https = require('node:https');
const body = JSON.stringify({ QueueName: 'orders' });
const headers = {
  'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.GetQueueUrl',
  authorization: `AWS4-HMAC-SHA256 Credential=${process.env.AWS_ACCESS_KEY_ID}/20200101/us-east-1/sqs/aws4_request`,
};
const agent = new https.Agent({ keepAlive: true });
const request = (host, options = {}) => new Promise((resolve, reject) => {
  const sent = https.request({ host, path: '/', method: 'POST', headers, ...options }, (answer) => {
    let text = '';
    answer.on('data', (data) => { text += data; }).on('end', () => resolve(text));
  });
  sent.on('error', (error) => resolve(error.code)).end(body);
});
const ways = {
  https: () => request('sqs.us-east-1.amazonaws.com'),
  again: async () => [await request('sqs.us-east-1.amazonaws.com', { agent }),
                      await request('sqs.us-east-1.amazonaws.com', { agent })][1],
  fetch: async () => (await fetch('https://sqs.us-east-1.amazonaws.com/', { method: 'POST', headers, body })).text(),
  elsewhere: () => request('sqs.us-east-1.amazonaws.com.invalid'),
};
exports.handler = async (way) => ways[way]();
"""


def test_requests_to_aws_host_names_reach_the_platform(platform: PlatformThread) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.js", HANDLER)
    functions = platform.client("lambda")
    functions.create_function(
        FunctionName="calls", Runtime="nodejs20.x", Handler="index.handler", Code={"ZipFile": packed.getvalue()},
        Role="arn:aws:iam::000000000000:role/r", Timeout=10,
    )  # fmt: skip
    url = platform.client("sqs").create_queue(QueueName="orders")["QueueUrl"]

    def answer(way: str) -> str:
        text: str = json.loads(functions.invoke(FunctionName="calls", Payload=json.dumps(way))["Payload"].read())
        return text

    for way in ("https", "again", "fetch"):
        found = json.loads(answer(way))["QueueUrl"]
        assert found.rpartition("/")[2] == url.rpartition("/")[2], way
    assert answer("elsewhere") in ("ENOTFOUND", "EAI_AGAIN")
