// What every client does (see ../test_services.py), with the AWS SDK for JavaScript, version 3.
import * as SQS from '@aws-sdk/client-sqs';
import * as Events from '@aws-sdk/client-eventbridge';

const settings = {
  endpoint: process.argv[2], region: 'us-east-1', maxAttempts: 1,
  credentials: { accessKeyId: '000000000000', secretAccessKey: 'a-secret' },
};
const queues = new SQS.SQS(settings);
const events = new Events.EventBridge(settings);
const answers = {};

async function failure(type, work) {
  try {
    await work();
    return 'none';
  } catch (error) {
    return error instanceof type ? type.name : `${error.constructor.name} instead of ${type.name}: ${error.message}`;
  }
}

async function receive(QueueUrl, more = {}) {
  const { Messages = [] } = await queues.receiveMessage({
    QueueUrl, WaitTimeSeconds: 5, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'], ...more,
  });
  return Messages;
}

async function standard() {
  const { QueueUrl } = await queues.createQueue({ QueueName: 'orders', Attributes: { VisibilityTimeout: '7' } });
  const found = await queues.getQueueUrl({ QueueName: 'orders' });
  const { Attributes } = await queues.getQueueAttributes({ QueueUrl, AttributeNames: ['All'] });
  answers.created = [QueueUrl.split('/').at(-1), found.QueueUrl === QueueUrl, Attributes.VisibilityTimeout];
  await queues.sendMessage({
    QueueUrl, MessageBody: 'héllo ✓',
    MessageAttributes: {
      text: { DataType: 'String', StringValue: 'värde' }, number: { DataType: 'Number', StringValue: '1.5' },
      bytes: { DataType: 'Binary', BinaryValue: Uint8Array.from([0, 255]) },
    },
  });
  const [message] = await receive(QueueUrl);
  const { text, number, bytes } = message.MessageAttributes;
  answers.received = [
    message.Body, message.Attributes.ApproximateReceiveCount, text.StringValue, number.StringValue,
    Buffer.from(bytes.BinaryValue).toString('hex'),
  ];
  await queues.changeMessageVisibility({ QueueUrl, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0 });
  const [again] = await receive(QueueUrl);
  answers.again = again.Attributes.ApproximateReceiveCount;
  await queues.deleteMessage({ QueueUrl, ReceiptHandle: again.ReceiptHandle });
  const arrival = receive(QueueUrl, { WaitTimeSeconds: 20 });
  await queues.sendMessage({ QueueUrl, MessageBody: 'awaited' });
  const [awaited] = await arrival;
  answers.awaited = awaited.Body;
  await queues.deleteMessage({ QueueUrl, ReceiptHandle: awaited.ReceiptHandle });
  return QueueUrl;
}

async function batches(QueueUrl) {
  const { Successful, Failed } = await queues.sendMessageBatch({
    QueueUrl,
    Entries: [
      { Id: 'a', MessageBody: '1' }, { Id: 'b', MessageBody: '2' }, { Id: 'c', MessageBody: '3', DelaySeconds: 901 },
    ],
  });
  answers.batch = [Successful.map((each) => each.Id), Failed.map((each) => [each.Id, each.Code, each.SenderFault])];
  const messages = [];
  while (messages.length < 2) messages.push(...await receive(QueueUrl, { MaxNumberOfMessages: 10 }));
  const deleted = await queues.deleteMessageBatch({
    QueueUrl, Entries: messages.map((each, index) => ({ Id: String(index), ReceiptHandle: each.ReceiptHandle })),
  });
  answers.batchReceived = [messages.map((each) => each.Body).sort(), deleted.Successful.length];
}

async function fifo() {
  const { QueueUrl } = await queues.createQueue({
    QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true' },
  });
  const sent = [];
  for (const [MessageGroupId, MessageBody] of [['g', '1'], ['g', '2'], ['g', '2'], ['h', '3']]) {
    sent.push(await queues.sendMessage({ QueueUrl, MessageBody, MessageGroupId }));
  }
  const messages = await receive(QueueUrl, { MaxNumberOfMessages: 10 });
  const of = (group) => messages.filter((each) => each.Attributes.MessageGroupId === group).map((each) => each.Body);
  answers.fifo = [
    of('g'), of('h'), sent[1].MessageId === sent[2].MessageId,
    BigInt(sent[0].SequenceNumber) < BigInt(sent[1].SequenceNumber),
  ];
}

async function bus() {
  const { EventBusArn } = await events.createEventBus({ Name: 'shop' });
  const { QueueUrl } = await queues.createQueue({ QueueName: 'routed' });
  const { Attributes } = await queues.getQueueAttributes({ QueueUrl, AttributeNames: ['QueueArn'] });
  const EventPattern = JSON.stringify({ source: ['shop'], detail: { total: [{ numeric: ['>', 10] }] } });
  const { RuleArn } = await events.putRule({ Name: 'large', EventBusName: 'shop', EventPattern });
  await events.putTargets({ Rule: 'large', EventBusName: 'shop', Targets: [{ Id: 'q', Arn: Attributes.QueueArn }] });
  const entry = (Detail) => ({ EventBusName: 'shop', Source: 'shop', DetailType: 'Order', Detail, Time: new Date(0) });
  const put = await events.putEvents({ Entries: [entry('{"total": 11}'), entry('{"total": 10}'), entry('{"total"')] });
  answers.put = [put.FailedEntryCount, put.Entries.map((each) => each.ErrorCode ?? '')];
  const [message] = await receive(QueueUrl);
  const event = JSON.parse(message.Body);
  answers.routed = [
    event.source, event['detail-type'], event.detail.total, event.time, event.id === put.Entries[0].EventId,
  ];
  answers.arns = [EventBusArn, RuleArn];
  const test = async (detail) => (await events.testEventPattern({ EventPattern, Event: JSON.stringify({
    id: '1', account: '1', source: 'shop', time: '2026-01-01T00:00:00Z', region: 'us-east-1', resources: [],
    'detail-type': 'Order', detail,
  }) })).Result;
  answers.tested = [await test({ total: 10.5 }), await test({ total: 10 })];
}

async function errors(QueueUrl) {
  answers.errors = [
    await failure(SQS.QueueDoesNotExist, () => queues.getQueueUrl({ QueueName: 'nobody' })),
    await failure(SQS.EmptyBatchRequest, () => queues.sendMessageBatch({ QueueUrl, Entries: [] })),
    await failure(SQS.ReceiptHandleIsInvalid, () => queues.deleteMessage({ QueueUrl, ReceiptHandle: 'x' })),
    await failure(Events.ResourceNotFoundException, () => events.describeRule({ Name: 'nobody' })),
    await failure(Events.InvalidEventPatternException, () => events.putRule({ Name: 'bad', EventPattern: '{"a": 1}' })),
    await failure(Events.ResourceAlreadyExistsException, () => events.createEventBus({ Name: 'shop' })),
  ];
}

const queue = await standard();
await batches(queue);
await fifo();
await bus();
await errors(queue);
console.log(JSON.stringify(answers));
