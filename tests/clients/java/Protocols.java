import java.net.URI;
import java.util.concurrent.Callable;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchClient;
import software.amazon.awssdk.services.eventbridge.EventBridgeClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.QueueDoesNotExistException;

/** One call of every kind; a line per call: its name, OK or FAIL, what came back. */
public class Protocols {
  static void run(String name, Callable<Object> call) {
    try {
      System.out.println(name + " OK " + call.call());
    } catch (Throwable error) {
      System.out.println(name + " FAIL " + error);
    }
  }

  public static void main(String[] arguments) {
    var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("123456789012", "a-secret"));
    var endpoint = URI.create(arguments[0]);
    var region = Region.EU_WEST_1;

    var sqs = SqsClient.builder().endpointOverride(endpoint).region(region).credentialsProvider(credentials).build();
    run("send", () -> sqs.sendMessage(b -> b.queueUrl(arguments[0] + "/1/q").messageBody("hello")).messageId());
    run("error", () -> {
      try {
        sqs.getQueueUrl(b -> b.queueName("missing"));
        return "no error";
      } catch (QueueDoesNotExistException error) {
        return error.statusCode();
      }
    });

    var bus = EventBridgeClient.builder().endpointOverride(endpoint).region(region)
        .credentialsProvider(credentials).build();
    run("events", () -> bus.putEvents(b -> b.entries(e -> e.source("a").detailType("b").detail("{}")))
        .entries().get(0).eventId());

    // To a plain port Java signs every chunk of a body.
    var s3 = S3Client.builder().endpointOverride(endpoint).region(region).credentialsProvider(credentials)
        .forcePathStyle(true).build();
    run("object", () -> s3.putObject(b -> b.bucket("b").key("k é+"), RequestBody.fromBytes(new byte[3_000_000])).versionId());
    run("content", () -> s3.getObjectAsBytes(b -> b.bucket("b").key("k")).asByteArray().length);

    // HTTP/2 by prior knowledge, and CBOR.
    var kinesis = KinesisAsyncClient.builder().endpointOverride(endpoint).region(region)
        .credentialsProvider(credentials).build();
    run("record", () -> kinesis.putRecord(b -> b.streamName("s").partitionKey("p")
        .data(SdkBytes.fromUtf8String("abc"))).get().sequenceNumber());
    run("subscription", () -> {
      var seen = new StringBuilder();
      var handler = SubscribeToShardResponseHandler.builder().subscriber((SubscribeToShardEventStream event) ->
          seen.append(((SubscribeToShardEvent) event).records().get(0).data().asUtf8String())).build();
      kinesis.subscribeToShard(b -> b.consumerARN("arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1")
          .shardId("shardId-000000000000").startingPosition(p -> p.type("LATEST")), handler).get();
      return seen;
    });

    var metrics = CloudWatchClient.builder().endpointOverride(endpoint).region(region)
        .credentialsProvider(credentials).build();
    run("metric", () -> metrics.putMetricData(b -> b.namespace("n").metricData(m -> m.metricName("m").value(1.5)))
        .sdkHttpResponse().statusCode());
    System.exit(0);
  }
}
