// What every client does (see ../test_services.py), with the AWS SDK for Java, version 2.

import java.math.BigInteger;
import java.net.URI;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.eventbridge.EventBridgeClient;
import software.amazon.awssdk.services.eventbridge.model.InvalidEventPatternException;
import software.amazon.awssdk.services.eventbridge.model.PutEventsRequestEntry;
import software.amazon.awssdk.services.eventbridge.model.ResourceAlreadyExistsException;
import software.amazon.awssdk.services.eventbridge.model.ResourceNotFoundException;
import software.amazon.awssdk.services.eventbridge.model.Target;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.DeleteMessageBatchRequestEntry;
import software.amazon.awssdk.services.sqs.model.EmptyBatchRequestException;
import software.amazon.awssdk.services.sqs.model.Message;
import software.amazon.awssdk.services.sqs.model.MessageAttributeValue;
import software.amazon.awssdk.services.sqs.model.MessageSystemAttributeName;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;
import software.amazon.awssdk.services.sqs.model.QueueDoesNotExistException;
import software.amazon.awssdk.services.sqs.model.ReceiptHandleIsInvalidException;
import software.amazon.awssdk.services.sqs.model.SendMessageBatchRequestEntry;
import software.amazon.awssdk.services.sqs.model.SendMessageResponse;

public class Services {
    static final String PATTERN = "{\"source\": [\"shop\"], \"detail\": {\"total\": [{\"numeric\": [\">\", 10]}]}}";
    static final Map<String, Object> answers = new LinkedHashMap<>();
    static SqsClient queues;
    static EventBridgeClient events;

    static <B extends AwsClientBuilder<B, C>, C> B settled(B builder, String url) {
        var keys = AwsBasicCredentials.create("000000000000", "a-secret");
        return builder.endpointOverride(URI.create(url)).region(Region.US_EAST_1)
            .credentialsProvider(StaticCredentialsProvider.create(keys));
    }

    static List<Message> receive(String queue, int most, int wait) {
        return queues.receiveMessage(r -> r.queueUrl(queue).maxNumberOfMessages(most).waitTimeSeconds(wait)
            .messageAttributeNames("All").messageSystemAttributeNames(MessageSystemAttributeName.ALL)).messages();
    }

    static String attribute(Message message, MessageSystemAttributeName name) {
        return message.attributes().get(name);
    }

    static MessageAttributeValue value(String type, String text) {
        return MessageAttributeValue.builder().dataType(type).stringValue(text).build();
    }

    static String standard() {
        var queue = queues.createQueue(r -> r.queueName("orders")
            .attributes(Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "7"))).queueUrl();
        var found = queues.getQueueUrl(r -> r.queueName("orders")).queueUrl();
        var all = queues.getQueueAttributes(r -> r.queueUrl(queue).attributeNames(QueueAttributeName.ALL)).attributes();
        var name = queue.substring(queue.lastIndexOf('/') + 1);
        answers.put("created", List.of(name, found.equals(queue), all.get(QueueAttributeName.VISIBILITY_TIMEOUT)));
        var bytes = MessageAttributeValue.builder().dataType("Binary")
            .binaryValue(SdkBytes.fromByteArray(new byte[] {0, (byte) 255})).build();
        queues.sendMessage(r -> r.queueUrl(queue).messageBody("héllo ✓").messageAttributes(
            Map.of("text", value("String", "värde"), "number", value("Number", "1.5"), "bytes", bytes)));
        var message = receive(queue, 1, 5).get(0);
        var given = message.messageAttributes();
        answers.put("received", List.of(
            message.body(), attribute(message, MessageSystemAttributeName.APPROXIMATE_RECEIVE_COUNT),
            given.get("text").stringValue(), given.get("number").stringValue(),
            HexFormat.of().formatHex(given.get("bytes").binaryValue().asByteArray())));
        queues.changeMessageVisibility(
            r -> r.queueUrl(queue).receiptHandle(message.receiptHandle()).visibilityTimeout(0));
        var again = receive(queue, 1, 5).get(0);
        answers.put("again", attribute(again, MessageSystemAttributeName.APPROXIMATE_RECEIVE_COUNT));
        queues.deleteMessage(r -> r.queueUrl(queue).receiptHandle(again.receiptHandle()));
        var arrival = CompletableFuture.supplyAsync(() -> receive(queue, 1, 20).get(0));
        queues.sendMessage(r -> r.queueUrl(queue).messageBody("awaited"));
        var awaited = arrival.join();
        answers.put("awaited", awaited.body());
        queues.deleteMessage(r -> r.queueUrl(queue).receiptHandle(awaited.receiptHandle()));
        return queue;
    }

    static SendMessageBatchRequestEntry toSend(String id, String body, int delay) {
        return SendMessageBatchRequestEntry.builder().id(id).messageBody(body).delaySeconds(delay).build();
    }

    static void batches(String queue) {
        var sent = queues.sendMessageBatch(
            r -> r.queueUrl(queue).entries(toSend("a", "1", 0), toSend("b", "2", 0), toSend("c", "3", 901)));
        answers.put("batch", List.of(
            sent.successful().stream().map(each -> each.id()).toList(),
            sent.failed().stream().map(each -> List.of(each.id(), each.code(), each.senderFault())).toList()));
        var messages = new ArrayList<Message>();
        while (messages.size() < 2) {
            messages.addAll(receive(queue, 10, 5));
        }
        var entries = IntStream.range(0, messages.size()).mapToObj(index -> DeleteMessageBatchRequestEntry.builder()
            .id(String.valueOf(index)).receiptHandle(messages.get(index).receiptHandle()).build()).toList();
        var deleted = queues.deleteMessageBatch(r -> r.queueUrl(queue).entries(entries));
        answers.put("batchReceived",
            List.of(messages.stream().map(Message::body).sorted().toList(), deleted.successful().size()));
    }

    static void fifo() {
        var queue = queues.createQueue(r -> r.queueName("orders.fifo").attributes(Map.of(
            QueueAttributeName.FIFO_QUEUE, "true", QueueAttributeName.CONTENT_BASED_DEDUPLICATION, "true"))).queueUrl();
        var sent = new ArrayList<SendMessageResponse>();
        for (var each : List.of(List.of("g", "1"), List.of("g", "2"), List.of("g", "2"), List.of("h", "3"))) {
            sent.add(queues.sendMessage(
                r -> r.queueUrl(queue).messageGroupId(each.get(0)).messageBody(each.get(1))));
        }
        var messages = receive(queue, 10, 5);
        Function<String, List<String>> of = group -> messages.stream()
            .filter(each -> attribute(each, MessageSystemAttributeName.MESSAGE_GROUP_ID).equals(group))
            .map(Message::body).toList();
        var numbers = sent.stream().map(each -> new BigInteger(each.sequenceNumber())).toList();
        answers.put("fifo", List.of(of.apply("g"), of.apply("h"), sent.get(1).messageId().equals(sent.get(2).messageId()),
            numbers.get(0).compareTo(numbers.get(1)) < 0));
    }

    static PutEventsRequestEntry entry(String detail) {
        return PutEventsRequestEntry.builder().eventBusName("shop").source("shop").detailType("Order").detail(detail)
            .time(Instant.EPOCH).build();
    }

    static boolean tested(String detail) {
        var event = "{\"id\": \"1\", \"account\": \"1\", \"source\": \"shop\", \"time\": \"2026-01-01T00:00:00Z\","
            + " \"region\": \"us-east-1\", \"resources\": [], \"detail-type\": \"Order\", \"detail\": " + detail + "}";
        return events.testEventPattern(r -> r.eventPattern(PATTERN).event(event)).result();
    }

    static void bus() {
        var bus = events.createEventBus(r -> r.name("shop")).eventBusArn();
        var queue = queues.createQueue(r -> r.queueName("routed")).queueUrl();
        var arn = queues.getQueueAttributes(r -> r.queueUrl(queue).attributeNames(QueueAttributeName.QUEUE_ARN))
            .attributes().get(QueueAttributeName.QUEUE_ARN);
        var rule = events.putRule(r -> r.name("large").eventBusName("shop").eventPattern(PATTERN)).ruleArn();
        events.putTargets(r -> r.rule("large").eventBusName("shop").targets(Target.builder().id("q").arn(arn).build()));
        var put = events.putEvents(
            r -> r.entries(entry("{\"total\": 11}"), entry("{\"total\": 10}"), entry("{\"total\"")));
        answers.put("put", List.of(put.failedEntryCount(), put.entries().stream()
            .map(each -> each.errorCode() == null ? "" : each.errorCode()).toList()));
        var event = JsonNode.parser().parse(receive(queue, 1, 5).get(0).body()).asObject();
        var total = event.get("detail").asObject().get("total").asNumber();
        answers.put("routed", List.of(
            event.get("source").asString(), event.get("detail-type").asString(), Integer.parseInt(total),
            event.get("time").asString(), event.get("id").asString().equals(put.entries().get(0).eventId())));
        answers.put("arns", List.of(bus, rule));
        answers.put("tested", List.of(tested("{\"total\": 10.5}"), tested("{\"total\": 10}")));
    }

    static String failure(Class<? extends AwsServiceException> type, Runnable work) {
        try {
            work.run();
            return "none";
        } catch (AwsServiceException error) {
            return type.isInstance(error) ? type.getSimpleName() : error + " instead of " + type.getSimpleName();
        }
    }

    static void errors(String queue) {
        answers.put("errors", List.of(
            failure(QueueDoesNotExistException.class, () -> queues.getQueueUrl(r -> r.queueName("nobody"))),
            failure(EmptyBatchRequestException.class,
                () -> queues.sendMessageBatch(r -> r.queueUrl(queue).entries(List.of()))),
            failure(ReceiptHandleIsInvalidException.class,
                () -> queues.deleteMessage(r -> r.queueUrl(queue).receiptHandle("x"))),
            failure(ResourceNotFoundException.class, () -> events.describeRule(r -> r.name("nobody"))),
            failure(InvalidEventPatternException.class,
                () -> events.putRule(r -> r.name("bad").eventPattern("{\"a\": 1}"))),
            failure(ResourceAlreadyExistsException.class, () -> events.createEventBus(r -> r.name("shop")))));
    }

    static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(each -> json(each.getKey()) + ":" + json(each.getValue()))
                .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Services::json).collect(Collectors.joining(",", "[", "]"));
        }
        return value instanceof String text ? "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"" : "" + value;
    }

    public static void main(String[] arguments) throws Exception {
        queues = settled(SqsClient.builder(), arguments[0]).httpClient(UrlConnectionHttpClient.create()).build();
        events = settled(EventBridgeClient.builder(), arguments[0]).httpClient(UrlConnectionHttpClient.create()).build();
        var queue = standard();
        batches(queue);
        fifo();
        bus();
        errors(queue);
        new java.io.PrintStream(System.out, true, "UTF-8").println(json(answers));
    }
}
