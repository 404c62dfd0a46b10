// One call of every kind; a line per call: its name, OK or FAIL, what came back.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bridge "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	messages "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func report(name string, value any, err error) {
	if err != nil {
		fmt.Println(name, "FAIL", err)
		return
	}
	fmt.Println(name, "OK", value)
}

func protocols(endpoint string) {
	ctx := context.Background()
	config := aws.Config{
		Region:           "eu-west-1",
		BaseEndpoint:     aws.String(endpoint),
		Credentials:      credentials.NewStaticCredentialsProvider("123456789012", "a-secret", ""),
		RetryMaxAttempts: 1,
	}

	queue := sqs.NewFromConfig(config)
	sent, err := queue.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(endpoint + "/1/q"), MessageBody: aws.String("hello"),
		MessageAttributes: map[string]messages.MessageAttributeValue{
			"a": {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}},
		},
	})
	if err == nil {
		report("send", *sent.MessageId, nil)
	} else {
		report("send", nil, err)
	}
	_, err = queue.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("missing")})
	var missing *messages.QueueDoesNotExist
	report("error", errors.As(err, &missing), nil)

	bus := eventbridge.NewFromConfig(config)
	put, err := bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []bridge.PutEventsRequestEntry{
		{Source: aws.String("a"), DetailType: aws.String("b"), Detail: aws.String("{}")},
	}})
	if err == nil {
		report("events", *put.Entries[0].EventId, nil)
	} else {
		report("events", nil, err)
	}

	buckets := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	_, err = buckets.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String("b"), Key: aws.String("k é+"), Body: bytes.NewReader(make([]byte, 3_000_000)),
	})
	report("object", "stored", err)
	object, err := buckets.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if err == nil {
		content, err := io.ReadAll(object.Body)
		report("content", len(content), err)
	} else {
		report("content", nil, err)
	}

	functions := lambda.NewFromConfig(config)
	invoked, err := functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("{}")})
	if err == nil {
		report("invoke", string(invoked.Payload), nil)
	} else {
		report("invoke", nil, err)
	}
}
