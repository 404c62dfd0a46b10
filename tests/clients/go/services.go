// What every client does (see ../test_services.py), with the AWS SDK for Go, version 2.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

type list = []any

var (
	in      = context.Background()
	queues  *sqs.Client
	events  *eventbridge.Client
	answers = map[string]any{}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func failure[T error](name string, err error) string {
	var typed T
	if errors.As(err, &typed) {
		return name
	}
	return fmt.Sprintf("%v instead of %s", err, name)
}

func receive(queue *string, most int32, wait int32) []types.Message {
	return must(queues.ReceiveMessage(in, &sqs.ReceiveMessageInput{
		QueueUrl: queue, WaitTimeSeconds: wait, MaxNumberOfMessages: most, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})).Messages
}

func text(value string) *string { return aws.String(value) }

func attribute(kind, value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: text(kind), StringValue: text(value)}
}

func standard() *string {
	queue := must(queues.CreateQueue(in, &sqs.CreateQueueInput{
		QueueName: text("orders"), Attributes: map[string]string{"VisibilityTimeout": "7"},
	})).QueueUrl
	found := must(queues.GetQueueUrl(in, &sqs.GetQueueUrlInput{QueueName: text("orders")})).QueueUrl
	all := must(queues.GetQueueAttributes(in, &sqs.GetQueueAttributesInput{
		QueueUrl: queue, AttributeNames: []types.QueueAttributeName{"All"},
	})).Attributes
	answers["created"] = list{(*queue)[strings.LastIndex(*queue, "/")+1:], *found == *queue, all["VisibilityTimeout"]}
	must(queues.SendMessage(in, &sqs.SendMessageInput{
		QueueUrl: queue, MessageBody: text("héllo ✓"), MessageAttributes: map[string]types.MessageAttributeValue{
			"text": attribute("String", "värde"), "number": attribute("Number", "1.5"),
			"bytes": {DataType: text("Binary"), BinaryValue: []byte{0, 255}},
		},
	}))
	message := receive(queue, 1, 5)[0]
	given := message.MessageAttributes
	answers["received"] = list{
		*message.Body, message.Attributes["ApproximateReceiveCount"], *given["text"].StringValue,
		*given["number"].StringValue, hex.EncodeToString(given["bytes"].BinaryValue),
	}
	must(queues.ChangeMessageVisibility(in, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: queue, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0,
	}))
	again := receive(queue, 1, 5)[0]
	answers["again"] = again.Attributes["ApproximateReceiveCount"]
	must(queues.DeleteMessage(in, &sqs.DeleteMessageInput{QueueUrl: queue, ReceiptHandle: again.ReceiptHandle}))
	arrival := make(chan types.Message)
	go func() { arrival <- receive(queue, 1, 20)[0] }()
	must(queues.SendMessage(in, &sqs.SendMessageInput{QueueUrl: queue, MessageBody: text("awaited")}))
	awaited := <-arrival
	answers["awaited"] = *awaited.Body
	must(queues.DeleteMessage(in, &sqs.DeleteMessageInput{QueueUrl: queue, ReceiptHandle: awaited.ReceiptHandle}))
	return queue
}

func batches(queue *string) {
	sent := must(queues.SendMessageBatch(in, &sqs.SendMessageBatchInput{
		QueueUrl: queue, Entries: []types.SendMessageBatchRequestEntry{
			{Id: text("a"), MessageBody: text("1")}, {Id: text("b"), MessageBody: text("2")},
			{Id: text("c"), MessageBody: text("3"), DelaySeconds: 901},
		},
	}))
	successful, failed := list{}, list{}
	for _, each := range sent.Successful {
		successful = append(successful, *each.Id)
	}
	for _, each := range sent.Failed {
		failed = append(failed, list{*each.Id, *each.Code, each.SenderFault})
	}
	answers["batch"] = list{successful, failed}
	bodies := []string{}
	entries := []types.DeleteMessageBatchRequestEntry{}
	for len(bodies) < 2 {
		for _, each := range receive(queue, 10, 5) {
			entries = append(entries, types.DeleteMessageBatchRequestEntry{
				Id: text(strconv.Itoa(len(bodies))), ReceiptHandle: each.ReceiptHandle,
			})
			bodies = append(bodies, *each.Body)
		}
	}
	deleted := must(queues.DeleteMessageBatch(in, &sqs.DeleteMessageBatchInput{QueueUrl: queue, Entries: entries}))
	sort.Strings(bodies)
	answers["batchReceived"] = list{bodies, len(deleted.Successful)}
}

func number(value *string) *big.Int {
	found, _ := new(big.Int).SetString(*value, 10)
	return found
}

func fifo() {
	queue := must(queues.CreateQueue(in, &sqs.CreateQueueInput{
		QueueName: text("orders.fifo"), Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"},
	})).QueueUrl
	sent := []*sqs.SendMessageOutput{}
	for _, each := range [][2]string{{"g", "1"}, {"g", "2"}, {"g", "2"}, {"h", "3"}} {
		sent = append(sent, must(queues.SendMessage(in, &sqs.SendMessageInput{
			QueueUrl: queue, MessageGroupId: text(each[0]), MessageBody: text(each[1]),
		})))
	}
	groups := map[string]list{}
	for _, each := range receive(queue, 10, 5) {
		group := each.Attributes["MessageGroupId"]
		groups[group] = append(groups[group], *each.Body)
	}
	answers["fifo"] = list{
		groups["g"], groups["h"], *sent[1].MessageId == *sent[2].MessageId,
		number(sent[0].SequenceNumber).Cmp(number(sent[1].SequenceNumber)) < 0,
	}
}

func entry(detail string) eventtypes.PutEventsRequestEntry {
	return eventtypes.PutEventsRequestEntry{
		EventBusName: text("shop"), Source: text("shop"), DetailType: text("Order"), Detail: text(detail),
		Time: aws.Time(time.Unix(0, 0)),
	}
}

func tested(pattern, detail string) bool {
	return must(events.TestEventPattern(in, &eventbridge.TestEventPatternInput{
		EventPattern: text(pattern), Event: text(`{"id": "1", "account": "1", "source": "shop", "time": "2026-01-01T00:00:00Z",
			"region": "us-east-1", "resources": [], "detail-type": "Order", "detail": ` + detail + `}`),
	})).Result
}

func bus() {
	made := must(events.CreateEventBus(in, &eventbridge.CreateEventBusInput{Name: text("shop")}))
	queue := must(queues.CreateQueue(in, &sqs.CreateQueueInput{QueueName: text("routed")})).QueueUrl
	arn := must(queues.GetQueueAttributes(in, &sqs.GetQueueAttributesInput{
		QueueUrl: queue, AttributeNames: []types.QueueAttributeName{"QueueArn"},
	})).Attributes["QueueArn"]
	pattern := `{"source": ["shop"], "detail": {"total": [{"numeric": [">", 10]}]}}`
	rule := must(events.PutRule(in, &eventbridge.PutRuleInput{
		Name: text("large"), EventBusName: text("shop"), EventPattern: text(pattern),
	}))
	must(events.PutTargets(in, &eventbridge.PutTargetsInput{
		Rule: text("large"), EventBusName: text("shop"), Targets: []eventtypes.Target{{Id: text("q"), Arn: text(arn)}},
	}))
	put := must(events.PutEvents(in, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{
		entry(`{"total": 11}`), entry(`{"total": 10}`), entry(`{"total"`),
	}}))
	codes := list{}
	for _, each := range put.Entries {
		codes = append(codes, aws.ToString(each.ErrorCode))
	}
	answers["put"] = list{put.FailedEntryCount, codes}
	event := map[string]any{}
	if err := json.Unmarshal([]byte(*receive(queue, 1, 5)[0].Body), &event); err != nil {
		panic(err)
	}
	answers["routed"] = list{
		event["source"], event["detail-type"], event["detail"].(map[string]any)["total"], event["time"],
		event["id"] == *put.Entries[0].EventId,
	}
	answers["arns"] = list{*made.EventBusArn, *rule.RuleArn}
	answers["tested"] = list{tested(pattern, `{"total": 10.5}`), tested(pattern, `{"total": 10}`)}
}

func failures(queue *string) {
	_, nobody := queues.GetQueueUrl(in, &sqs.GetQueueUrlInput{QueueName: text("nobody")})
	_, empty := queues.SendMessageBatch(in, &sqs.SendMessageBatchInput{
		QueueUrl: queue, Entries: []types.SendMessageBatchRequestEntry{},
	})
	_, handle := queues.DeleteMessage(in, &sqs.DeleteMessageInput{QueueUrl: queue, ReceiptHandle: text("x")})
	_, rule := events.DescribeRule(in, &eventbridge.DescribeRuleInput{Name: text("nobody")})
	_, pattern := events.PutRule(in, &eventbridge.PutRuleInput{Name: text("bad"), EventPattern: text(`{"a": 1}`)})
	_, twice := events.CreateEventBus(in, &eventbridge.CreateEventBusInput{Name: text("shop")})
	answers["errors"] = list{
		failure[*types.QueueDoesNotExist]("QueueDoesNotExist", nobody),
		failure[*types.EmptyBatchRequest]("EmptyBatchRequest", empty),
		failure[*types.ReceiptHandleIsInvalid]("ReceiptHandleIsInvalid", handle),
		failure[*eventtypes.ResourceNotFoundException]("ResourceNotFoundException", rule),
		failure[*eventtypes.InvalidEventPatternException]("InvalidEventPatternException", pattern),
		failure[*eventtypes.ResourceAlreadyExistsException]("ResourceAlreadyExistsException", twice),
	}
}

func services(endpoint string) {
	settings := aws.Config{
		Region: "us-east-1", BaseEndpoint: text(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("000000000000", "a-secret", ""),
	}
	queues, events = sqs.NewFromConfig(settings), eventbridge.NewFromConfig(settings)
	queue := standard()
	batches(queue)
	fifo()
	bus()
	failures(queue)
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
