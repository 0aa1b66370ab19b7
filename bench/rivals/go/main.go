package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	if os.Getenv("BENCH_ECHO") != "" {
		lambda.Start(func(_ context.Context, event json.RawMessage) (any, error) {
			var value any
			err := json.Unmarshal(event, &value)
			return value, err
		})
	}
	sleep := os.Getenv("BENCH_SLEEP") != ""
	lambda.Start(func(_ context.Context, event any) (map[string]any, error) {
		if sleep {
			time.Sleep(50 * time.Millisecond)
		}
		return map[string]any{"statusCode": 200, "body": "ok"}, nil
	})
}
