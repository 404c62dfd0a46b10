// One call of every kind; a line per call: its name, OK or FAIL, what came back.
import { CloudWatchClient, PutMetricDataCommand } from "@aws-sdk/client-cloudwatch";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { KinesisClient, PutRecordCommand, SubscribeToShardCommand } from "@aws-sdk/client-kinesis";
import { InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Readable } from "node:stream";

const endpoint = process.argv[2];
const options = {
  endpoint,
  region: "eu-west-1",
  credentials: { accessKeyId: "123456789012", secretAccessKey: "a-secret" },
  maxAttempts: 1,
};

async function run(name, call) {
  try {
    console.log(name, "OK", JSON.stringify(await call()));
  } catch (error) {
    console.log(name, "FAIL", error.name, error.message);
  }
}

const collect = async (stream, of) => {
  const out = [];
  for await (const event of stream) out.push(of(event));
  return out;
};

const sqs = new SQSClient(options);
const MessageAttributes = { a: { DataType: "Binary", BinaryValue: new Uint8Array([1, 2]) } };
await run("send", async () =>
  (await sqs.send(new SendMessageCommand({ QueueUrl: `${endpoint}/1/q`, MessageBody: "hello", MessageAttributes })))
    .MessageId,
);
await run("error", async () => {
  try {
    await sqs.send(new GetQueueUrlCommand({ QueueName: "missing" }));
    return "no error";
  } catch (error) {
    return error.name;
  }
});
const Entries = [{ Source: "a", DetailType: "b", Detail: "{}", Time: new Date(1700000000500) }];
await run("events", async () =>
  (await new EventBridgeClient(options).send(new PutEventsCommand({ Entries }))).Entries[0].EventId,
);
const kinesis = new KinesisClient(options); // HTTP/2
await run("record", async () =>
  (await kinesis.send(new PutRecordCommand({ StreamName: "s", PartitionKey: "p", Data: new Uint8Array([9, 8, 7]) })))
    .SequenceNumber,
);
await run("subscription", async () => {
  const answer = await kinesis.send(
    new SubscribeToShardCommand({
      ConsumerARN: "arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1",
      ShardId: "shardId-000000000000",
      StartingPosition: { Type: "LATEST" },
    }),
  );
  return collect(answer.EventStream, (event) => Buffer.from(event.SubscribeToShardEvent.Records[0].Data).toString());
});
const s3 = new S3Client({ ...options, forcePathStyle: true });
await run("object", async () =>
  (await s3.send(new PutObjectCommand({ Bucket: "b", Key: "k é+", Body: Buffer.alloc(3_000_000, 1) }))).VersionId,
);
await run("stream", async () => {
  const Body = Readable.from([Buffer.alloc(100_000, 1), Buffer.alloc(5)]);
  return (await s3.send(new PutObjectCommand({ Bucket: "b", Key: "k", Body, ContentLength: 100_005 }))).VersionId;
});
await run("content", async () => {
  const answer = await s3.send(new GetObjectCommand({ Bucket: "b", Key: "k" }));
  return (await answer.Body.transformToByteArray()).length;
});
const lambda = new LambdaClient(options);
await run("invoke", async () =>
  Buffer.from((await lambda.send(new InvokeCommand({ FunctionName: "f", Payload: "{}" }))).Payload).toString(),
);
await run("response", async () => {
  const answer = await lambda.send(new InvokeWithResponseStreamCommand({ FunctionName: "f", Payload: "{}" }));
  return collect(answer.EventStream, (event) =>
    event.PayloadChunk ? Buffer.from(event.PayloadChunk.Payload).toString() : Object.keys(event)[0],
  );
});
const MetricData = [{ MetricName: "m", Value: 1.5, Timestamp: new Date(1700000000500) }];
await run("metric", async () =>
  Object.keys(await new CloudWatchClient(options).send(new PutMetricDataCommand({ Namespace: "n", MetricData }))),
);
kinesis.destroy();
